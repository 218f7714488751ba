"""What can be wrong with a table."""

from __future__ import annotations


class TableError(ValueError):
    """What is wrong with a table or one of its columns, and what to do about it."""
