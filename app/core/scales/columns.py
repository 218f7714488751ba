"""Tests of every column at every scale, for each of its faults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.config.monitoring import Monitoring
from app.core.evaluation.results import Fault
from app.core.evaluation.tested import Tested
from app.core.evaluation.usual_effects import effects_of, floors
from app.core.reference.layout import Floats, Integers, Layout
from app.core.scales.categories import category_tests
from app.core.scales.levels import Levels
from app.core.scales.numbers import numeric_tests
from app.core.scales.onset import Marked
from app.core.scales.shares import share_tests
from app.core.scales.suffixes import Suffixes

BACK: dict[Fault, int] = {"type": 1, "missing": 2, "unseen": 3}
"""Position of a fault's slot, counted from the column's end."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Columns (by their places in the layout) that are tested for one fault in one way.

    `n`: the rows that are compared (scales x columns). `reference`: the rows of the reference; `expected`: the
    expected share of the fault (for a distribution: 0). `usual`: the usual effects.
    """

    fault: Fault
    threshold: float
    places: Integers
    n: Floats
    reference: Floats
    expected: Floats
    usual: Floats
    tested: Tested

    def limit(self, scale: int, column: int) -> float:
        """Return the effect from which on a column is found at a scale (a position in the spans)."""
        return float(floors(self.threshold, self.usual[scale, column]))


def families(
    layout: Layout, suffixes: Suffixes, seconds: Sequence[float], monitoring: Monitoring, levels: Levels
) -> Iterator[Family]:
    """Test every column for every fault. Outputs are judged for shares only where any row has one.

    `seconds`: the lengths of the spans of `suffixes`.
    """
    known = effects_of(layout.profile.usual)
    last = len(layout.features) if layout.profile.task == "features" else len(layout.slots)
    columns = layout.slots[:last]
    places = np.arange(last)
    numeric = np.array([slots.column.kind == "numeric" for slots in columns], np.bool_)
    ends = np.array([slots.offset + slots.size for slots in columns], np.int64)
    total = np.array([slots.total for slots in columns], np.float64)
    absent = np.array([slots.column.missing for slots in columns], np.float64)
    singles = np.array([slots.singles for slots in columns], np.float64)
    counts: dict[Fault, Floats] = {fault: suffixes.at(ends - back) for fault, back in BACK.items()}
    rows = np.broadcast_to(suffixes.n[:, None].astype(np.float64), counts["type"].shape)
    values = rows - counts["missing"] - counts["type"]

    drift = monitoring.drift
    for chosen, floor, test in (
        (places[numeric], drift.numerical_effect, numeric_tests),
        (places[~numeric], drift.categorical, category_tests),
    ):
        usual = known.at("distribution", [columns[i].column.name for i in chosen.tolist()], seconds)
        tested = test(layout, chosen.tolist(), suffixes, floor, levels, usual)
        rows_of, nothing = total[chosen], np.zeros(len(chosen))
        yield Family("distribution", floor, chosen, values[:, chosen], rows_of, nothing, usual, tested)

    alerting = monitoring.alerting
    given = (places < len(layout.features)) | (counts["missing"][-1] < rows[-1])
    shares: tuple[tuple[Fault, float, NDArray[np.bool_], Floats, Floats, Floats], ...] = (
        ("missing", alerting.missing_share, given, rows, absent / np.maximum(total + absent, 1.0), total + absent),
        ("unseen", alerting.unseen_share, given & ~numeric, values, singles / np.maximum(total, 1.0), total),
        ("type", alerting.stray_share, given, rows, np.zeros(last), total + absent),
    )
    for fault, allowed, wanted, n, expected, reference in shares:
        at = places[wanted]
        part, share, rows_of = n[:, at], expected[at], reference[at]
        usual = known.at(fault, [columns[i].column.name for i in at.tolist()], seconds)
        tested = share_tests(counts[fault][:, at], part, share, rows_of, allowed, levels, usual)
        yield Family(fault, allowed, at, part, rows_of, share, usual, tested)


def marked_of(layout: Layout, family: Family, column: int, suffixes: Suffixes, scale: int) -> Marked:
    """Return the slots that separate a family's column from the reference at a scale.

    For numbers these are the slots up to the largest gap, for categories those that have grown, else the fault's own
    slot.
    """
    slots = layout.slots[int(family.places[column])]
    if family.fault != "distribution":
        mask = np.arange(slots.size) == slots.size - BACK[family.fault]
        usual = float(family.expected[column])
        share = usual + float(family.tested.effect[scale, column])
        return Marked(slots, mask, usual, share, of_all=family.fault != "unseen")
    counts = suffixes.part(slots.offset, slots.offset + slots.missing)[scale]
    total = max(float(counts.sum()), 1.0)
    if slots.column.kind != "numeric":
        mask = counts / total > slots.shares
        return Marked(slots, mask, float(slots.shares[mask].sum()), float(counts[mask].sum() / total))
    running = np.cumsum(counts) / total
    gap = int(np.abs(running - slots.cumulative[1:]).argmax())
    mask = np.arange(slots.missing) <= gap
    return Marked(slots, mask, float(slots.cumulative[gap + 1]), float(running[gap]))
