"""Panes under construction: what one source partition has counted, as totals and as what is new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.layout import Integers
from app.core.packing import narrow
from app.core.pane import Names, Pane, add_names, merge

MOST_UNSUMMED = 64
"""Restored deltas of a pane that are held before they are summed up."""


class PaneBuffer:
    """One pane: its total, and the rows counted since the last `flush`, not yet summed up."""

    def __init__(self, size: int, sums: int) -> None:
        self.size = size
        self._total = _Total.of(Pane.empty(sums))
        self._unsummed: list[Pane] = []
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

    @property
    def total(self) -> Pane:
        """All that was counted up to the last flush."""
        return self._sum_up() if self._unsummed else self._total.pane()

    @property
    def nbytes(self) -> int:
        """Memory that the total takes, in bytes."""
        return int(self._total.steps.nbytes + self._total.counts.nbytes)

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
        """Add a delta to the total: many are summed up at once, for a sum costs the layout's width."""
        self._unsummed.append(delta)
        if len(self._unsummed) >= MOST_UNSUMMED:
            self._sum_up()

    def _sum_up(self) -> Pane:
        total = merge([self._total.pane(), *self._unsummed], self.size, len(self._sums))
        self._total, self._unsummed = _Total.of(total), []
        return total


@dataclass(frozen=True, slots=True)
class _Total:
    """A pane as it is kept: most counts are small, most steps from one index to the next too, and there are dozens."""

    steps: NDArray[Any]
    counts: NDArray[Any]
    n: int
    sums: Integers
    names: Names

    @staticmethod
    def of(pane: Pane) -> _Total:
        steps = np.diff(pane.indices, prepend=np.int32(0))
        return _Total(narrow(steps), narrow(pane.counts), pane.n, pane.sums, pane.names)

    def pane(self) -> Pane:
        indices = np.cumsum(self.steps, dtype=np.int32)
        return Pane(self.n, indices, self.counts.astype(np.int64), self.sums, self.names)


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
