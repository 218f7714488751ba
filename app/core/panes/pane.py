"""The pane: the mergeable summary of the predictions of one model version in one slice of event time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Names = dict[str, dict[str, int]]
"""Unexpected names by column, with their counts; the column "" has unknown features."""

MAX_NAMES = 50
"""Maximum number of distinct unexpected names for each column; the rest are counted under OTHER."""
LONGEST_NAME = 200
"""Maximum characters of an unexpected name: a name can be as long as a record, and a report holds many."""
OTHER = "other"
T = TypeVar("T", np.int32, np.int64)
SPARSE = 16
"""If fewer than one slot in this many has a count, sorting the counted slots costs less than visiting all slots."""


@dataclass(frozen=True, eq=False)
class Pane:
    """Counts (a sparse vector: ascending indices and their counts), fixed-point sums, unexpected names.

    `n` counts the predictions (in an outcome pane: those with feedback). A frozen value: merging makes a new
    one. Panes of one layout form a commutative monoid under `merge`, with `Pane.empty` as its zero; names are
    exact until a column has more than MAX_NAMES of them, or one of them is longer than LONGEST_NAME.
    """

    n: int
    indices: NDArray[np.int32]
    counts: Integers
    sums: Integers
    names: Names = field(default_factory=dict)

    @staticmethod
    def empty(sums: int) -> Pane:
        """Return the pane of no prediction."""
        return Pane(0, np.empty(0, np.int32), np.empty(0, np.int64), np.zeros(sums, np.int64))

    @staticmethod
    def of(n: int, dense: Integers, sums: Integers, names: Names | None = None) -> Pane:
        """Return the pane of a dense count vector."""
        indices = np.flatnonzero(dense != 0)  # several times as fast as on the numbers themselves
        return Pane(n, indices.astype(np.int32), dense[indices].astype(np.int64), sums, names or {})

    def dense(self, size: int) -> Integers:
        """Return the count vector in full (`size` int64)."""
        vector = np.zeros(size, np.int64)
        vector[self.indices] = self.counts
        return vector

    def part(self, where: slice) -> Integers:
        """Return a part of the count vector in full."""
        first, last = np.searchsorted(self.indices, [where.start, where.stop])
        counts = np.zeros(where.stop - where.start, np.int64)
        counts[self.indices[first:last] - where.start] = self.counts[first:last]
        return counts

    def same(self, other: Pane) -> bool:
        """Return whether both panes have the same counts, sums and names."""
        return (
            self.n == other.n
            and np.array_equal(self.indices, other.indices)
            and np.array_equal(self.counts, other.counts)
            and np.array_equal(self.sums, other.sums)
            and self.names == other.names
        )


def merge(panes: Iterable[Pane], size: int, sums: int) -> Pane:
    """Return the sum of panes of one layout (`size` counts, `sums` sums)."""
    total = np.zeros(sums, np.int64)
    names: Names = {}
    n = 0
    indices, counts = [np.empty(0, np.int32)], [np.empty(0, np.int64)]
    for pane in panes:
        n += pane.n
        indices.append(pane.indices)
        counts.append(pane.counts)
        total += pane.sums
        add_names(names, pane.names)
    if sum(map(len, indices)) * SPARSE <= size:
        return Pane(n, *add_sparse(np.concatenate(indices), np.concatenate(counts)), total, names)
    vector = np.zeros(max(1 + int(at[-1]) for at in indices if len(at)), np.int64)
    for at, count in zip(indices, counts, strict=True):
        vector[at] += count
    return Pane.of(n, vector, total, names)


def add_sparse(indices: NDArray[T], counts: Integers) -> tuple[NDArray[T], Integers]:
    """Add up the counts at equal indices. Return ascending indices and their counts, without zeros."""
    order = np.argsort(indices, kind="stable")  # takes a third of the time for concatenated ascending parts
    ordered = indices[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)])
    if not len(starts):
        return ordered, np.empty(0, np.int64)
    totals = np.add.reduceat(counts[order], starts)
    kept = totals != 0
    return ordered[starts][kept], totals[kept]


def add_names(into: Names, names: Names) -> None:
    """Add unexpected names to a tally, in place, within the cap."""
    for column, tally in names.items():
        kept = into.setdefault(column, {})
        for name, count in tally.items():
            add_name(kept, name, count)


def add_name(tally: dict[str, int], name: str, count: int) -> None:
    """Count one unexpected name, cut to LONGEST_NAME; under OTHER where the cap is reached."""
    name = name[:LONGEST_NAME]
    key = name if name in tally or len(tally) < MAX_NAMES else OTHER
    tally[key] = tally.get(key, 0) + count
