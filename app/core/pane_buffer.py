"""Panes under construction: what one source partition has counted, as totals and as what is new."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from app.core.layout import Integers
from app.core.pane import Names, Pane, add_names, merge


class PaneBuffer:
    """One pane: its total, and the rows counted since the last `flush`, not yet summed up."""

    def __init__(self, size: int, sums: int) -> None:
        self.size = size
        self.total = Pane.empty(sums)
        self._n = 0
        self._slots: list[NDArray[np.int32]] = []
        self._minus: list[NDArray[np.int32]] = []
        self._sums = np.zeros(sums, np.int64)
        self._names: Names = {}
        self._touched = False

    @property
    def dirty(self) -> bool:
        """Whether anything was counted, or came to the same, since the last flush."""
        return self._touched or bool(self._slots or self._minus)

    def touch(self) -> None:
        """Have the total told again, though it is the same: a life that was not saved may have told another."""
        self._touched = True

    def add(self, slots: NDArray[np.int32], sums: Integers, names: Names | None = None) -> None:
        """Count rows: their slots (n x columns; -1 is none) and their shares of the sums (n x sums)."""
        self._n += len(slots)
        self._slots.append(slots.ravel("K"))
        self._sums += sums.sum(axis=0)
        if names:
            add_names(self._names, names)

    def subtract(self, slots: NDArray[np.int32], sums: Integers) -> None:
        """Take back rows that were counted."""
        self._n -= len(slots)
        self._minus.append(slots.ravel("K"))
        self._sums -= sums.sum(axis=0)

    def flush(self) -> Pane:
        """What is new since the last flush, now part of the total."""
        dense = _tally(self._slots, self.size)
        if self._minus:
            dense -= _tally(self._minus, self.size)
        delta = Pane.of(self._n, dense, self._sums, self._names)
        self._n, self._slots, self._minus, self._names, self._touched = 0, [], [], {}, False
        self._sums = np.zeros_like(self._sums)
        self.restore(delta)
        return delta

    def restore(self, delta: Pane) -> None:
        """Add a delta to the total."""
        self.total = merge((self.total, delta), self.size, len(delta.sums))


def _tally(slots: list[NDArray[np.int32]], size: int) -> Integers:
    if not slots:
        return np.zeros(size, np.int64)
    joined = np.concatenate(slots)
    if len(joined) and joined.min() < 0:
        joined = joined[joined >= 0]
    return np.bincount(joined, minlength=size).astype(np.int64, copy=False)


def by_group(groups: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each distinct group and the rows that belong to it, in order."""
    if not len(groups):
        return
    if groups[0] == groups[-1] and (groups == groups[0]).all():
        yield int(groups[0]), np.arange(len(groups))
        return
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        yield int(ordered[start]), order[start:end]
