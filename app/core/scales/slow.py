"""Slow changes: found columns that vary slowly in the reference too, without a step in the newest panes.

A season moves a temperature beyond all that its reference has: nothing is broken, and there is no moment at which the
change began.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.core.evaluation.divergence import divergence_terms
from app.core.panes.pane import Pane
from app.core.reference.layout import FIXED_POINT, Layout, Slots
from app.core.scales.columns import Family
from app.core.scales.suffixes import Suffixes

WANDERS = 2.0
"""Factor for slow variation: a column's usual effect at the longest learned span is this many times its floor."""
PART = 4
"""Factor by which the known panes exceed the newest ones, between which and the panes before a step is sought."""
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Slow:
    """Distance that a column has moved since its reference: a mean in its standard deviations, else the effect.

    `rate`: the distance per day, since the middle of the reference; None where its times are not known.
    """

    moved: float
    rate: float | None


def slow_of(
    layout: Layout, family: Family, column: int, suffixes: Suffixes, scale: int, newest: Pane, now: float
) -> Slow | None:
    """Return the slow change of a column that is found at a scale; None where it has changed at once, or may have.

    A column changes slowly if it varies slowly in the reference too, and its newest panes are no further from those
    before them than windows of the reference are from the rest of it. `newest`: the sum of the panes of the scale;
    `now`: their end, in epoch seconds.
    """
    usual = layout.profile.usual
    place = int(family.places[column])
    slots = layout.slots[place]
    known = None if usual is None else next((one for one in usual.columns if one.name == slots.column.name), None)
    if usual is None or known is None or known.distribution[-1] < WANDERS * family.threshold:
        return None
    part = max((i for i, span in enumerate(suffixes.spans) if PART * span <= suffixes.spans[-1]), default=0)
    shown = min(scale, part)
    step = step_of(slots, suffixes, shown)
    if step is None or step >= family.limit(shown, column):
        return None
    moved = _moved(layout, place, newest)
    if moved is None:
        moved = float(family.tested.effect[scale, column])
    if usual.source == "live":
        return Slow(moved, None)
    days = (now - (usual.since + usual.until) / 2.0) / DAY
    return Slow(moved, moved / days) if days > 0.0 else None


def step_of(slots: Slots, suffixes: Suffixes, scale: int) -> float | None:
    """Return the distance of a scale's newest panes from all known panes before them; None where these are too few."""
    counts = suffixes.part(slots.offset, slots.offset + slots.missing)
    newest, before = counts[scale], counts[-1] - counts[scale]
    if not newest.sum() or before.sum() < (PART - 2) * newest.sum():
        return None
    p, q = newest / newest.sum(), before / before.sum()
    if slots.column.kind == "numeric":
        return float(np.abs(np.cumsum(p - q)).max())
    return float(np.sqrt(max(divergence_terms(p, q, 1, 1).sum(), 0.0)))


def _moved(layout: Layout, place: int, newest: Pane) -> float | None:
    """Return the move of a mean in standard deviations of the reference; None for categories or without values."""
    slots = layout.slots[place]
    if place not in layout.numeric:
        return None
    n = newest.part(slice(slots.offset, slots.offset + slots.missing)).sum()
    if not n:
        return None
    total = float(newest.sums[2 * layout.numeric.index(place)]) / FIXED_POINT
    before = (slots.mean - slots.column.centre) / slots.column.scale
    return float(total / n - before)
