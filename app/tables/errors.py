"""Errors of tables."""

from __future__ import annotations


class TableError(ValueError):
    """Raised for a table or column that cannot be used. The message says what to do."""
