"""Detection of another time zone from part of a day: the hours are compared with the same time yesterday."""

from __future__ import annotations

import numpy as np

from app.core.evaluation.causes.numbers import HOURS, another_clock, is_hours
from app.core.panes.pane import Pane
from app.core.reference.layout import Floats, Layout
from topics.results import Cause

HOURLY = 40
"""Number of rows that is enough to show which hours occur. Half as many are needed today."""
FEWEST = 20
"""Minimum number of yesterday's rows for the comparison."""
LEFT = 0.25
"""Share of the rows in which yesterday's shifted hours may differ from today's."""


def of_same_time(layout: Layout, now: Pane, yesterday: Pane, place: int) -> Cause | None:
    """Return the cause if a column of hours is shifted against the same time yesterday; else None.

    The hours of a part of a day differ from those of all days. `place`: the column's position in the layout.
    """
    slots = layout.slots[place]
    if slots.column.kind != "numeric" or not is_hours(slots.values):
        return None
    today, before = (_hours(layout, pane, place) for pane in (now, yesterday))
    if today.sum() < HOURLY / 2 or before.sum() < FEWEST:
        return None
    today, before = today / today.sum(), before / before.sum()
    left = np.array([np.abs(today - np.roll(before, by)).sum() / 2.0 for by in range(HOURS)])
    by = int(left.argmin())
    return another_clock(by) if by and left[by] <= LEFT and left[0] >= 2.0 * LEFT else None


def _hours(layout: Layout, pane: Pane, place: int) -> Floats:
    """Return how many rows have each hour of the day, among the hours that the reference has."""
    slots = layout.slots[place]
    counts = pane.part(slice(slots.offset, slots.offset + slots.missing))
    found = np.zeros(HOURS)
    found[slots.values.astype(np.int64)] = counts[2 : 2 * len(slots.values) + 1 : 2]
    return found
