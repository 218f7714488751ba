"""Hours of the day by another clock, seen in a part of a day: beside those of the same time yesterday."""

from __future__ import annotations

import numpy as np

from app.core.evaluation.causes.numbers import HOURS, another_clock, is_hours
from app.core.panes.pane import Pane
from app.core.reference.layout import Floats, Layout
from topics.results import Cause

HOURLY = 40
"""Rows that show which hours there are."""
FEWEST = 20
"""Rows of yesterday, beside them."""
LEFT = 0.25
"""Yesterday's hours, moved, may differ from today's in so many of the rows."""


def of_same_time(layout: Layout, now: Pane, yesterday: Pane, place: int) -> Cause | None:
    """Return by how many hours a column of hours is later than at the same time yesterday; None where it is not.

    The hours of a part of a day differ from those of all days. `place`: the column's, in the layout.
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
    """How many rows have each hour that the reference has, too."""
    slots = layout.slots[place]
    counts = pane.part(slice(slots.offset, slots.offset + slots.missing))
    found = np.zeros(HOURS)
    found[slots.values.astype(np.int64)] = counts[2 : 2 * len(slots.values) + 1 : 2]
    return found
