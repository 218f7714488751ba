"""Panes under construction: what one source partition has counted, as totals and as what is new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.layout import Integers
from app.core.packing import narrow
from app.core.pane import SPARSE, Names, Pane, add_names, add_sparse, merge

MOST_UNSUMMED = 64
"""Restored deltas of a pane that are held before they are summed up."""
LARGE = np.iinfo(np.int16).max
"""Counts up to this are held together in the narrowest type that fits all of them."""


class PaneBuffer:
    """One pane: its total, and the rows counted since the last `flush`, not yet summed up.

    The last `limbs` slots are exact sums (see `exact_sums`), which come added up.
    """

    def __init__(self, size: int, sums: int, limbs: int = 0) -> None:
        self.size = size
        self._total = _Total.of(Pane.empty(sums))
        self._unsummed: list[Pane] = []
        self._n = 0
        self._slots: list[NDArray[np.int32]] = []
        self._minus: list[NDArray[np.int32]] = []
        self._sums = np.zeros(sums, np.int64)
        self._limbs = np.zeros(limbs, np.int64)
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
        return self._total.nbytes

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

    def add_outcomes(self, slots: NDArray[np.int32], limbs: Integers) -> None:
        """Count rows: their slots (columns x n; -1 is none) and their exact sums together."""
        self._n += slots.shape[1]
        self._slots.append(slots.ravel("K"))
        self._limbs += limbs

    def subtract_outcomes(self, slots: NDArray[np.int32], limbs: Integers) -> None:
        """Take back rows that were counted."""
        self._n -= slots.shape[1]
        self._minus.append(slots.ravel("K"))
        self._limbs -= limbs

    def flush(self) -> Pane:
        """What is new since the last flush, now part of the total."""
        first = self.size - len(self._limbs)
        indices, counts = _tally(self._slots, self._minus, first)
        limbs = np.flatnonzero(self._limbs)
        delta = Pane(
            self._n,
            np.concatenate([indices, (first + limbs).astype(np.int32)]),
            np.concatenate([counts, self._limbs[limbs]]),
            self._sums,
            self._names,
        )
        self._n, self._slots, self._minus, self._names, self._touched = 0, [], [], {}, False
        self._sums = np.zeros_like(self._sums)
        self._limbs[:] = 0
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
    """A pane as it is kept: most counts are small, most steps from one index to the next too, and there are dozens.

    Counts beyond 16 bits (limbs of exact sums) are held apart, by their place: `counts` has 0 there.
    """

    steps: NDArray[Any]
    counts: NDArray[Any]
    places: NDArray[np.int32]
    large: Integers
    n: int
    sums: Integers
    names: Names

    @staticmethod
    def of(pane: Pane) -> _Total:
        steps = np.diff(pane.indices, prepend=np.int32(0))
        places = np.flatnonzero(np.abs(pane.counts) > LARGE).astype(np.int32)
        small = pane.counts.copy()
        small[places] = 0
        return _Total(narrow(steps), narrow(small), places, pane.counts[places], pane.n, pane.sums, pane.names)

    def pane(self) -> Pane:
        indices = np.cumsum(self.steps, dtype=np.int32)
        counts = self.counts.astype(np.int64)
        counts[self.places] = self.large
        return Pane(self.n, indices, counts, self.sums, self.names)

    @property
    def nbytes(self) -> int:
        return int(self.steps.nbytes + self.counts.nbytes + self.places.nbytes + self.large.nbytes)


def _tally(
    plus: list[NDArray[np.int32]], minus: list[NDArray[np.int32]], size: int
) -> tuple[NDArray[np.int32], Integers]:
    """How often each slot is in `plus` less how often it is in `minus`: slots, ascending, and their counts."""
    added, taken = _slots(plus), _slots(minus)
    if (len(added) + len(taken)) * SPARSE <= size:
        counts = np.ones(len(added) + len(taken), np.int64)
        counts[len(added) :] = -1
        return add_sparse(np.concatenate([added, taken]), counts)
    used = 1 + max(int(part.max()) for part in (added, taken) if len(part))
    dense = np.bincount(added, minlength=used)
    if len(taken):
        dense -= np.bincount(taken, minlength=used)
    indices = np.flatnonzero(dense)
    return indices.astype(np.int32), dense[indices].astype(np.int64, copy=False)


def _slots(parts: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    joined = np.concatenate(parts) if parts else np.empty(0, np.int32)
    return joined[joined >= 0] if len(joined) and joined.min() < 0 else joined


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
