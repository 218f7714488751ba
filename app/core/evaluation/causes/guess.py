"""The likely cause of one column's drift, from its counts in a pane and its reference."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np

from app.core.evaluation.causes.categories import of_categories
from app.core.evaluation.causes.numbers import Numbers, of_numbers
from app.core.evaluation.results import cause
from app.core.panes.pane import Pane
from app.core.reference.layout import FIXED_POINT, Layout
from topics.results import Cause

SHARE = 0.05
"""Share of missing values, or of values of a wrong type, from which on they are named as the cause."""


def cause_of(layout: Layout, pane: Pane, place: int) -> Cause | None:
    """Return the likely cause of a column's change; None where nothing simple explains it. `place`: its position."""
    slots = layout.slots[place]
    first, last = np.searchsorted(pane.indices, [slots.offset, slots.offset + slots.size]).tolist()
    indices = pane.indices[first:last].astype(np.int64) - slots.offset
    counts = pane.counts[first:last]
    there = dict(zip(indices.tolist(), counts.tolist(), strict=True))
    missing, invalid = there.get(slots.missing, 0), there.get(slots.invalid, 0)
    lacking = _lacking(missing, invalid, pane.n, slots.column.missing, slots.total)
    if lacking is not None:
        return lacking
    if slots.column.kind == "categorical":
        return of_categories(slots, there, _names(pane, slots.column.name))
    inside = indices < slots.missing
    n = int(counts[inside].sum())
    if not n or not slots.total or 0 in there or 2 * len(slots.values) + 2 in there:
        return None
    number = layout.numeric.index(place)
    total, squares = (float(pane.sums[2 * number + i]) / FIXED_POINT / n for i in range(2))
    column = slots.column
    mean = column.centre + column.scale * total
    spread = column.scale * sqrt(max(squares - total * total, 0.0))
    return of_numbers(Numbers.of(slots, indices[inside], counts[inside], mean, spread))


def _names(pane: Pane, column: str) -> Mapping[str, int]:
    return pane.names.get(column, {})


def _lacking(missing: int, invalid: int, rows: int, before: int, valued: int) -> Cause | None:
    """Return the cause for missing values or values of another type, if these are more than a few; else None."""
    rows = max(rows, 1)
    usual = before / max(before + valued, 1)
    if invalid / rows >= SHARE:
        return cause(
            "type", f"{invalid / rows:.0%} of the values are of another type: text for a number, or a new format"
        )
    if missing / rows - usual < SHARE:
        return None
    every = "all values" if missing == rows else f"{missing / rows:.0%} of the values"
    return cause(
        "missing", f"{every} are missing ({usual:.0%} before): a join, a source or a deployment that lost them"
    )
