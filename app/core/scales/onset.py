"""The change point of a column or a metric over the panes: when the finding began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from app.core.panes.pane import Pane
from app.core.reference.layout import Floats, Slots

UNLIKELY = log(20.0)
"""Change points that are less likely than the best one by a factor of 20 are left out of the interval."""


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """The slots (from a column's own start) that separate it best: they have become more, or less, frequent.

    `expected`: their share in the reference, `share` in the panes that show the change best. `of_all`: shares are of
    all rows, not only of those with a value.
    """

    slots: Slots
    mask: NDArray[np.bool_]
    expected: float
    share: float
    of_all: bool = False


@dataclass(frozen=True, slots=True)
class Onset:
    """Number of newest panes that are changed: the most likely one, and the largest and the smallest likely one."""

    since: int
    earliest: int
    latest: int


def onset_of(marked: Marked, panes: Sequence[tuple[int, Pane]], reference: int) -> Onset:
    """Estimate the change point. `panes`: ages (1: the newest) and panes; `reference`: rows of the reference.

    The likelihood ratio of `share` against `expected`, added up from the newest pane on, is largest where the change
    began (as the two shares are known, its maximum is the most likely change point: Hinkley, Biometrika 57, 1970).
    """
    ordered = sorted(panes, key=lambda pane: pane[0])
    inside, rows = _counts(marked, [pane for _, pane in ordered])
    least = 0.5 / max(reference, 1)
    before, after = (min(max(share, least), 1.0 - least) for share in (marked.expected, marked.share))
    gain = inside * log(after / before) + (rows - inside) * log((1.0 - after) / (1.0 - before))
    return _most_likely(gain, [age for age, _ in ordered])


def onset_of_metric(
    values: Floats, rows: Floats, ages: Sequence[int], before: float, after: float, spread: float
) -> Onset:
    """Estimate the change point of a metric by the same likelihood ratio, its values taken as normal.

    `values`, `rows` and `ages`: of each pane, the newest first; NaN where a pane has no value of its own.
    `before`, `after`: the metric's mean before and after the change; `spread`: the deviation of one row.
    """
    nearer = np.nan_to_num((values - before) ** 2 - (values - after) ** 2)
    return _most_likely(rows * nearer / (2.0 * max(spread, 1e-12) ** 2), ages)


def _most_likely(gain: Floats, ages: Sequence[int]) -> Onset:
    total = np.cumsum(gain)
    likely = np.flatnonzero(total >= total.max() - UNLIKELY)
    best = int(total.argmax())
    return Onset(ages[best], ages[int(likely[-1])], ages[int(likely[0])])


def _counts(marked: Marked, panes: Sequence[Pane]) -> tuple[Floats, Floats]:
    """Return each pane's rows in the marked slots, and all of its rows."""
    first, last = marked.slots.offset, marked.slots.offset + marked.slots.size
    mask = np.zeros(marked.slots.size, np.bool_)
    mask[: len(marked.mask)] = marked.mask
    inside, rows = np.zeros(len(panes)), np.zeros(len(panes))
    for i, pane in enumerate(panes):
        low, high = np.searchsorted(pane.indices, [first, last])
        local, counts = pane.indices[low:high] - first, pane.counts[low:high]
        inside[i] = counts[mask[local]].sum()
        rows[i] = pane.n if marked.of_all else counts[local < marked.slots.missing].sum()
    return inside, rows
