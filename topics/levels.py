"""Severity of an alert: the levels and their order."""

from __future__ import annotations

from typing import Literal, get_args

Level = Literal["info", "warning", "error", "critical"]
"""From the mildest to the most severe."""
LEVELS: tuple[Level, ...] = get_args(Level)


def rank(level: Level) -> int:
    """Return the rank of a level; the most severe has the highest."""
    return LEVELS.index(level)
