"""Grouping of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


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
