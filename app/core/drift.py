"""One column of a window against its reference: the statistic, its p-value and the evidence.

Numeric: the exact two-sample Kolmogorov-Smirnov statistic. Categorical: the Jensen-Shannon distance in bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from app.core.kolmogorov import ks_p_values
from app.core.layout import Integers, Layout, Slots
from app.core.pane import Pane
from app.core.shape import Shape, categorical_shape, numeric_shape
from app.core.summary import NOTHING, UNSEEN, category_words, current_mean, numeric_words, reference_words, value_at

LN2 = float(np.log(2.0))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A column's statistic (None where a side is empty) and evidence; `n` counts the values compared.

    `degrees` are the chi-square's degrees of freedom (categories in either side, less one); numeric: 0.
    """

    slots: Slots
    statistic: float | None
    degrees: int
    n: int
    missing: int
    invalid: int
    unseen: int
    out_of_range: int
    reference: str
    current: str
    direction: str
    shape: Shape | None


def compare(layout: Layout, pane: Pane) -> list[Comparison]:
    """Every column of a window's input pane against its reference, in the layout's order."""
    starts = [slots.offset for slots in layout.slots]
    bounds = [*np.searchsorted(pane.indices, starts).tolist(), len(pane.indices)]
    sum_at = {column: 2 * i for i, column in enumerate(layout.numeric)}
    found = []
    for i, slots in enumerate(layout.slots):
        part = slice(bounds[i], bounds[i + 1])
        indices, counts = pane.indices[part].astype(np.int64) - slots.offset, pane.counts[part]
        if i in sum_at:
            found.append(compare_numeric(slots, indices, counts, int(pane.sums[sum_at[i]])))
        else:
            found.append(compare_categorical(slots, indices, counts))
    return found


def compare_numeric(slots: Slots, indices: Integers, counts: Integers, total: int) -> Comparison:
    """A numeric column from its counts (ascending slots from the column's own start) and its sum.

    The reference's step function is flat between its points and the current one between the slots with
    counts, so the largest difference stands directly before or after one of these. Equal to the statistic of
    `scipy.stats.ks_2samp` on the raw rows, but for thinned references (see `Column.error_bound`).
    """
    m = len(slots.values)
    valued = int(np.searchsorted(indices, slots.missing))
    tail = dict(zip(indices[valued:].tolist(), counts[valued:].tolist(), strict=True))
    indices, counts = indices[:valued], counts[:valued]
    n = int(counts.sum())
    statistic, direction, current, shape = None, "", NOTHING, None
    if n:
        cumulative = np.cumsum(counts)
        infinite = indices[0] == 0 or indices[-1] == 2 * m + 2
        middle = int(indices[np.searchsorted(cumulative, n / 2)])
        mean = None if infinite else current_mean(slots, total, n)
        current = numeric_words(value_at(slots.values, middle), mean)
        if slots.total:
            above = slots.cumulative[indices] - (cumulative - counts) / n
            below = cumulative / n - slots.cumulative[indices + 1]
            highest, lowest = int(above.argmax()), int(below.argmax())
            higher, lower = float(above[highest]), float(below[lowest])
            statistic = min(max(higher, lower, 0.0), 1.0)
            direction = "" if statistic == 0.0 else "higher" if higher >= lower else "lower"
            # reached at the last reference value before a slot, or at a slot's end
            gap = (int(indices[highest]) - 1) // 2 * 2 if higher >= lower else int(indices[lowest])
            shape = numeric_shape(slots, indices, cumulative, gap)
    return Comparison(
        slots=slots, statistic=statistic, degrees=0, n=n,
        missing=tail.get(slots.missing, 0), invalid=tail.get(slots.invalid, 0),
        unseen=0, out_of_range=_out_of_range(slots, indices, counts),
        reference=reference_words(slots), current=current, direction=direction, shape=shape,
    )  # fmt: skip


def _out_of_range(slots: Slots, indices: Integers, counts: Integers) -> int:
    """Values below the reference's first or above its last one (infinities where it has none)."""
    m, column = len(slots.values), slots.column
    if not m:
        return 0
    outside = [1, 2 * m + 1]
    outside += [] if column.below else [0]
    outside += [] if column.above else [2 * m + 2]
    ends = dict(zip([*indices[:2].tolist(), *indices[-2:].tolist()], [*counts[:2], *counts[-2:]], strict=True))
    return int(sum(ends.get(slot, 0) for slot in outside))


def compare_categorical(slots: Slots, indices: Integers, counts: Integers) -> Comparison:
    """A categorical column from its counts (ascending slots from the column's own start).

    All unseen categories together are one: the distance is the same, since the reference has none of them.
    Equal to `scipy.spatial.distance.jensenshannon(base=2)` over the union of the categories.
    """
    column = slots.column
    dense = np.zeros(slots.size, np.int64)
    dense[indices] = counts
    now, before = dense[: slots.unseen + 1], slots.tally
    n = int(now.sum())
    statistic, direction, degrees, shape = None, "", 0, None
    names = (*column.categories, UNSEEN)
    if n and slots.total:
        p, q = now / n, slots.shares
        statistic = _jensen_shannon(p, q)
        degrees = int(((now > 0) | (before > 0)).sum()) - 1
        direction = "" if statistic == 0.0 else f"more {names[int(np.argmax(p - q))]}"
        shape = categorical_shape(slots, now, n)
    return Comparison(
        slots=slots, statistic=statistic, degrees=degrees, n=n,
        missing=int(dense[slots.missing]), invalid=int(dense[slots.invalid]),
        unseen=int(dense[slots.unseen]), out_of_range=0,
        reference=reference_words(slots), current=category_words(names, now), direction=direction,
        shape=shape,
    )  # fmt: skip


def _jensen_shannon(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    middle = (p + q) / 2.0
    divergence = special.rel_entr(p, middle).sum() + special.rel_entr(q, middle).sum()
    return sqrt(max(float(divergence), 0.0) / LN2 / 2.0)


def p_values(comparisons: Sequence[Comparison]) -> list[float | None]:
    """The p-value of each comparison; None where there is no statistic, or one row on each side.

    KS: scipy's asymptotic one. Jensen-Shannon: 8 ln2 nm/(n+m) times the divergence in bits is about
    chi-square, with the categories less one as degrees of freedom (Menendez et al. 1997).
    """
    found: list[float | None] = [None] * len(comparisons)
    numeric = [i for i, c in enumerate(comparisons) if c.statistic is not None and c.slots.column.kind == "numeric"]
    if numeric:
        picked = [comparisons[i] for i in numeric]
        n = np.array([c.n for c in picked], np.float64)
        m = np.array([c.slots.total for c in picked], np.float64)
        values = ks_p_values(np.array([c.statistic for c in picked], np.float64), m, n)
        for i, value in zip(numeric, values.tolist(), strict=True):
            found[i] = None if np.isnan(value) else value
    for i, c in enumerate(comparisons):
        if c.statistic is not None and c.slots.column.kind == "categorical":
            found[i] = _chi_square(c, c.statistic)
    return found


def _chi_square(comparison: Comparison, distance: float) -> float:
    if not comparison.degrees:
        return 1.0
    n, m = comparison.n, comparison.slots.total
    statistic = 8.0 * LN2 * (n * m / (n + m)) * distance * distance
    return float(special.chdtrc(comparison.degrees, statistic))
