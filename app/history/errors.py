"""Errors of the history. Each message is one line that says what to do."""

from __future__ import annotations


class HistoryError(Exception):
    """Raised when the history cannot be used."""


class NoHistory(HistoryError):
    """Raised when nothing was recorded yet."""


class NewerHistory(HistoryError):
    """Raised when the tables are those of another version of Driftline."""


class HistoryUnavailable(HistoryError):
    """Raised when the database is locked, full or unreachable."""


class HistoryTimeout(HistoryError):
    """Raised when a query took too long, or was cancelled because no caller waits for it any more."""
