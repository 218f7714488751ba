"""What can be wrong with a history: each error is one line that says what to do."""

from __future__ import annotations


class HistoryError(Exception):
    """The history cannot be used."""


class NoHistory(HistoryError):
    """Nothing was recorded yet."""


class NewerHistory(HistoryError):
    """Its tables are those of another version."""


class HistoryUnavailable(HistoryError):
    """The database is locked, full or away."""


class HistoryTimeout(HistoryError):
    """A question took too long, or nobody waits for it any more."""
