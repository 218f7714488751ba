"""Spans of time at which the variability of a reference is learned, and its windows of these lengths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.reference.usual import Floats

Integers = NDArray[np.int64]

DAY, WEEK = 86_400.0, 7 * 86_400.0
OVERLAP = 4
"""Number of windows that overlap: each window begins a quarter of its length after the one before."""
MOST = 2000
"""Maximum windows of one length that are used, evenly spread where there are more."""
FEWEST_ROWS = 8
"""Minimum rows of a window that is learned from."""
FEWEST_WINDOWS = 4
"""Minimum number of windows side by side; spans with fewer are not learned."""


def learned_spans(spans: tuple[float, ...], duration: float) -> tuple[float, ...]:
    """Return the spans (seconds, ascending) at which a reference of this duration shows the usual effects.

    `spans`: those that the stream judges; days and weeks are added, since many patterns repeat by them.
    """
    wanted = {*spans, DAY, 2 * DAY, WEEK, 2 * WEEK, 4 * WEEK}
    return tuple(sorted(span for span in wanted if span * FEWEST_WINDOWS <= duration))


@dataclass(frozen=True, slots=True, eq=False)
class RowWindows:
    """Windows of one length over rows in time order: window i has the rows from `first[i]` to `last[i]`.

    `side_by_side`: the equivalent number of windows that do not overlap.
    """

    first: Integers
    last: Integers
    side_by_side: float

    @property
    def n(self) -> Integers:
        """Return each window's number of rows."""
        return self.last - self.first

    def thinned(self, most: int) -> RowWindows:
        """Return at most `most` of these windows, evenly spread."""
        step = -(-len(self.first) // most)
        if step <= 1:
            return self
        first = self.first[::step]
        apart = (self.side_by_side - 1.0) / (len(self.first) - 1) * step
        return RowWindows(first, self.last[::step], 1.0 + (len(first) - 1) * min(apart, 1.0))

    def counts(self, codes: Integers, size: int) -> Integers:
        """Return how often each code from 0 to `size` - 1 occurs in each window (windows x size)."""
        n = self.n
        which = np.repeat(np.arange(len(n)), n)
        rows = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n) + np.repeat(self.first, n)
        found = np.bincount(which * size + codes[rows], minlength=len(n) * size)
        return found.reshape(len(n), size).astype(np.int64)


def in_order(times: Floats) -> Integers:
    """Return the positions of the rows that have a time, in the order of their times."""
    timed = np.isfinite(times)
    return np.flatnonzero(timed)[np.argsort(times[timed], kind="stable")]


def row_windows(times: Floats, span: float) -> RowWindows:
    """Return the windows of one length (seconds) over ascending times, without those with hardly any row.

    A window that has half of the rows or more has no rest to be compared with, and is left out too.
    """
    duration = float(times[-1] - times[0])
    stride = max(span / OVERLAP, (duration - span) / MOST)
    starts = times[0] + stride * np.arange(int((duration - span) // stride) + 1)
    first = np.searchsorted(times, starts, side="left")
    last = np.searchsorted(times, starts + span, side="left")
    n = last - first
    kept = (n >= FEWEST_ROWS) & (2 * n <= len(times))
    there = int(kept.sum())
    side_by_side = 1.0 + (there - 1) * min(stride / span, 1.0) if there else 0.0
    return RowWindows(first[kept], last[kept], side_by_side)
