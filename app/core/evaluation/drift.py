"""Comparison of one column of a window with its reference: the statistic, its p-value, its effect and the evidence.

Numeric: the exact two-sample Kolmogorov-Smirnov statistic. Categorical: the Jensen-Shannon distance in bits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from app.core.evaluation.distribution import categorical_shape, numeric_shape
from app.core.evaluation.kolmogorov import ks_p_values
from app.core.evaluation.permutation import Table, permutation_tests
from app.core.evaluation.summary import (
    NOTHING,
    UNSEEN,
    category_words,
    current_mean,
    numeric_words,
    reference_words,
    value_at,
)
from app.core.panes.pane import MAX_NAMES, OTHER, Pane
from app.core.reference.layout import Integers, Layout, Slots
from topics.results import Shape

LN2 = float(np.log(2.0))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A column's statistic (None where a side is empty) and evidence; `n` counts the values compared.

    `table`: the counts by category that the permutation test takes, where both sides have values; numeric: None.
    """

    slots: Slots
    statistic: float | None
    table: Table | None
    n: int
    missing: int
    invalid: int
    unseen: int
    out_of_range: int
    reference: str
    current: str
    direction: str
    shape: Shape | None


def compare(layout: Layout, pane: Pane, only: Collection[int] | None = None) -> list[Comparison]:
    """Compare every column of a window's input pane with its reference, in the layout's order. `only`: these places."""
    starts = [slots.offset for slots in layout.slots]
    bounds = [*np.searchsorted(pane.indices, starts).tolist(), len(pane.indices)]
    sum_at = {column: 2 * i for i, column in enumerate(layout.numeric)}
    found = []
    for i, slots in enumerate(layout.slots):
        if only is not None and i not in only:
            continue
        part = slice(bounds[i], bounds[i + 1])
        indices, counts = pane.indices[part].astype(np.int64) - slots.offset, pane.counts[part]
        if i in sum_at:
            found.append(compare_numeric(slots, indices, counts, int(pane.sums[sum_at[i]])))
        else:
            found.append(compare_categorical(slots, indices, counts, pane.names.get(slots.column.name, {})))
    return found


def compare_numeric(slots: Slots, indices: Integers, counts: Integers, total: int) -> Comparison:
    """Compare a numeric column by its counts (ascending slots from the column's own start) and its sum.

    The reference's step function is flat between its points, and the current one between the slots with counts. So
    the largest difference is directly before or after one of these. Equal to the statistic of `scipy.stats.ks_2samp`
    on the raw rows, except for thinned references (see `Column.error_bound`).
    """
    m = len(slots.values)
    valued = int(indices.searchsorted(slots.missing))
    tail = dict(zip(indices[valued:].tolist(), counts[valued:].tolist(), strict=True))
    indices, counts = indices[:valued], counts[:valued]
    n = int(counts.sum())
    statistic, direction, current, shape = None, "", NOTHING, None
    if n:
        cumulative = counts.cumsum()
        infinite = indices[0] == 0 or indices[-1] == 2 * m + 2
        middle = int(indices[cumulative.searchsorted(n / 2)])
        mean = None if infinite else current_mean(slots, total, n)
        current = numeric_words(value_at(slots.values, middle), mean)
        if slots.total:
            above = slots.cumulative[indices] - (cumulative - counts) / n
            below = cumulative / n - slots.cumulative[indices + 1]
            highest, lowest = int(above.argmax()), int(below.argmax())
            higher, lower = float(above[highest]), float(below[lowest])
            statistic = min(max(higher, lower, 0.0), 1.0)
            direction = "" if statistic == 0.0 else "higher" if higher >= lower else "lower"
            # the gap is at the last reference value before a slot, or at a slot's end
            gap = (int(indices[highest]) - 1) // 2 * 2 if higher >= lower else int(indices[lowest])
            shape = numeric_shape(slots, indices, cumulative, gap)
    return Comparison(
        slots=slots, statistic=statistic, table=None, n=n,
        missing=tail.get(slots.missing, 0), invalid=tail.get(slots.invalid, 0),
        unseen=0, out_of_range=_out_of_range(slots, indices, counts),
        reference=reference_words(slots), current=current, direction=direction, shape=shape,
    )  # fmt: skip


def _out_of_range(slots: Slots, indices: Integers, counts: Integers) -> int:
    """Count values below the reference's first or above its last one (infinities where it has none)."""
    m, column = len(slots.values), slots.column
    if not m:
        return 0
    outside = [1, 2 * m + 1]
    outside += [] if column.below else [0]
    outside += [] if column.above else [2 * m + 2]
    ends = dict(zip([*indices[:2].tolist(), *indices[-2:].tolist()], [*counts[:2], *counts[-2:]], strict=True))
    return int(sum(ends.get(slot, 0) for slot in outside))


def compare_categorical(
    slots: Slots, indices: Integers, counts: Integers, unseen: Mapping[str, int] | None = None
) -> Comparison:
    """Compare a categorical column by its counts (ascending slots from the column's own start).

    In the distance all unseen categories together are one: the result is the same, since the reference has none of
    them. Equal to `scipy.spatial.distance.jensenshannon(base=2)` over the union of the categories. In the table of
    the permutation test each unseen category is separate, as `unseen` (name -> how often) has them.
    """
    column = slots.column
    dense = np.zeros(slots.size, np.int64)
    dense[indices] = counts
    now, before = dense[: slots.unseen + 1], slots.tally
    n = int(now.sum())
    statistic, direction, table, shape = None, "", None, None
    names = (*column.categories, UNSEEN)
    if n and slots.total:
        p, q = now / n, slots.shares
        statistic = _jensen_shannon(p, q)
        apart = _unseen_counts(int(now[-1]), unseen or {})
        table = Table(np.concatenate([now[:-1], apart]), np.concatenate([before[:-1], np.zeros_like(apart)]))
        direction = "" if statistic == 0.0 else f"more {names[int(np.argmax(p - q))]}"
        shape = categorical_shape(slots, now, n)
    return Comparison(
        slots=slots, statistic=statistic, table=table, n=n,
        missing=int(dense[slots.missing]), invalid=int(dense[slots.invalid]),
        unseen=int(dense[slots.unseen]), out_of_range=0,
        reference=reference_words(slots), current=category_words(names, now), direction=direction,
        shape=shape,
    )  # fmt: skip


def _jensen_shannon(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    middle = (p + q) / 2.0
    divergence = special.rel_entr(p, middle).sum() + special.rel_entr(q, middle).sum()
    return sqrt(max(float(divergence), 0.0) / LN2 / 2.0)


def _unseen_counts(rows: int, names: Mapping[str, int]) -> Integers:
    """Return how often each unseen category occurs, for this many rows.

    Rows whose name was not kept each count as a category of their own (a pane keeps MAX_NAMES names and counts the
    others together). Of all ways to divide these rows, this is the weakest evidence of drift.
    """
    kept = [count for name, count in names.items() if count > 0 and (name != OTHER or len(names) < MAX_NAMES)]
    rest = rows - sum(kept)
    if rest < 0:
        return np.ones(rows, np.int64)
    return np.concatenate([np.array(kept, np.int64), np.ones(rest, np.int64)])


@dataclass(frozen=True, slots=True)
class Strength:
    """Strength of a difference: its p-value and the size of its effect; None where there is no statistic.

    The p-value is also None for a numeric column with one row on each side. The effect size is the KS statistic, or
    the Jensen-Shannon distance without what sampling alone brings: sqrt(max(JSD - its mean over permutations, 0)).
    """

    p_value: float | None
    effect_size: float | None


def strengths(comparisons: Sequence[Comparison]) -> list[Strength]:
    """Return the p-value and the effect size of each comparison.

    KS: scipy's asymptotic p-value. Jensen-Shannon: the p-value of the permutation test (see `permutation.py`).
    """
    found = [Strength(None, c.statistic) for c in comparisons]
    numeric = [i for i, c in enumerate(comparisons) if c.statistic is not None and c.table is None]
    if numeric:
        picked = [comparisons[i] for i in numeric]
        n = np.array([c.n for c in picked], np.float64)
        m = np.array([c.slots.total for c in picked], np.float64)
        values = ks_p_values(np.array([c.statistic for c in picked], np.float64), m, n)
        for i, value in zip(numeric, values.tolist(), strict=True):
            found[i] = Strength(None if np.isnan(value) else value, comparisons[i].statistic)
    tables = {i: c.table for i, c in enumerate(comparisons) if c.table is not None}
    for i, judged in zip(tables, permutation_tests(list(tables.values())), strict=True):
        found[i] = Strength(judged.p_value, sqrt(max(judged.divergence - judged.mean, 0.0)))
    return found
