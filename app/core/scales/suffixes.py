"""Suffixes: the numbers of newest panes that are judged, and their counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.panes.pane import Pane
from app.core.reference.layout import Floats, Integers


def spans_of(panes: int, most: int | None = None) -> tuple[int, ...]:
    """Return the numbers of panes that are judged: 1, 2, 4, ... up to the window's, or to `most` where it is more.

    The window's own number is among them.
    """
    longest = panes if most is None else max(panes, most)
    found = {panes, longest}
    span = 1
    while span < longest:
        found.add(span)
        span *= 2
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True, eq=False)
class Suffixes:
    """Sums of the newest panes.

    The sum of the newest `spans[i]` panes has `n[i]` rows. At the ascending slots `indices[i]` of the layout it has
    the counts `counts[i]`; all other slots are 0.
    """

    spans: tuple[int, ...]
    n: Integers
    indices: tuple[Integers, ...]
    counts: tuple[Integers, ...]

    def part(self, first: int, last: int) -> Floats:
        """Return the counts of the slots from `first` up to `last` at every scale (scales x slots)."""
        dense = np.zeros((len(self.spans), last - first))
        for row, indices, counts in zip(dense, self.indices, self.counts, strict=True):
            low, high = np.searchsorted(indices, [first, last])
            row[indices[low:high] - first] = counts[low:high]
        return dense

    def at(self, slots: Integers) -> Floats:
        """Return the counts of some slots at every scale (scales x slots)."""
        found = np.zeros((len(self.spans), len(slots)))
        for row, indices, counts in zip(found, self.indices, self.counts, strict=True):
            if len(indices):
                place = np.searchsorted(indices, slots).clip(max=len(indices) - 1)
                row[:] = np.where(indices[place] == slots, counts[place], 0)
        return found


def suffixes_of(panes: Mapping[int, Pane], end: int, spans: Sequence[int], size: int) -> Suffixes:
    """Add up the panes (by number) that end with `end`, at each of the ascending spans. `size`: the layout's counts."""
    ordered = sorted((end - pane + 1, pane) for pane in panes if end - spans[-1] < pane <= end)
    bounds = np.searchsorted([age for age, _ in ordered], spans, side="right").tolist()
    total, rows, first = np.zeros(size, np.int64), 0, 0
    n, indices, counts = [], [], []
    for last in bounds:
        between = [panes[pane] for _, pane in ordered[first:last]]
        first = last
        rows += sum(pane.n for pane in between)
        if len(between) == 1:
            total[between[0].indices] += between[0].counts
        elif between:
            total += added(between, size)
        found: NDArray[np.int64] = np.flatnonzero(total != 0)
        n.append(rows)
        indices.append(found)
        counts.append(total[found])
    return Suffixes(tuple(spans), np.array(n, np.int64), tuple(indices), tuple(counts))


def added(panes: Sequence[Pane], size: int) -> Integers:
    """Return the counts of panes added up (`size` counts)."""
    slots = np.concatenate([pane.indices for pane in panes])
    counts = np.concatenate([pane.counts for pane in panes])
    return np.bincount(slots, counts, size).astype(np.int64)  # a float holds each sum: no window has 2 ** 53 rows
