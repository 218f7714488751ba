"""Grouping of rows, and of panes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

TOGETHER = 16_000
"""Counts of many panes that are computed with at once: their intermediate results stay in the processor's cache."""


def few_together(lengths: Sequence[int]) -> Iterator[slice]:
    """Yield slices of consecutive parts, each of which ends where it has TOGETHER values or more.

    `lengths`: how many values are in each part.
    """
    start, size = 0, 0
    for end, length in enumerate(lengths, 1):
        size += length
        if size >= TOGETHER:
            yield slice(start, end)
            start, size = end, 0
    if start < len(lengths):
        yield slice(start, len(lengths))


def by_group(groups: NDArray[np.integer]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield each distinct group and the rows that belong to it, in order."""
    if not len(groups):
        return
    if groups[0] == groups[-1] and (groups == groups[0]).all():
        yield int(groups[0]), np.arange(len(groups))
        return
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    ends = [*starts.tolist(), len(order)]
    start = 0
    for group, end in zip(ordered[[0, *starts]].tolist(), ends, strict=True):
        yield group, order[start:end]
        start = end
