"""Panes by number, each with the partials of its source partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

from app.core.panes.pane import Pane, merge

Partial = tuple[str, int, int]
"""The kind, pane and source partition of a partial."""


@dataclass(slots=True)
class Slice:
    """One pane of one kind: each source partition's newest partial, the number of their rows, and their sum."""

    partials: dict[int, tuple[int, Pane]] = field(default_factory=dict)
    n: int = 0
    total: Pane | None = None
    source: str = ""

    def take(self, partition: int, revision: int, partial: Pane) -> int | None:
        """Take a source partition's newest partial.

        Return how many rows more it has than the one before; None where it is no newer.
        """
        known = self.partials.get(partition)
        if known is not None and known[0] >= revision:
            return None
        more = partial.n - (0 if known is None else known[1].n)
        self.partials[partition] = (revision, partial)
        self.n += more
        self.total, self.source = None, ""
        return more

    def sum(self, size: int, sums: int) -> Pane:
        """Return the sum of all partials, computed once."""
        if self.total is None:
            partials = [partial for _, partial in self.partials.values()]
            self.total = partials[0] if len(partials) == 1 else merge(partials, size, sums)
        return self.total

    def revisions(self) -> str:
        """Return the partials of the sum, each source partition's revision, as text; computed once."""
        if not self.source:
            self.source = repr(tuple(sorted((part, revision) for part, (revision, _) in self.partials.items())))
        return self.source


Slices = dict[int, Slice]


def rows_of(slices: Slices, pane: int) -> int:
    """Return how many rows a pane has."""
    found = slices.get(pane)
    return 0 if found is None else found.n


def newest_slices(slices: Slices, inputs: Slices, end: int, panes: int, usual: int) -> Slices:
    """Return the slices of this many panes up to an end, oldest first.

    Of those before the `usual` number only the ones with predictions in `inputs`: no others are kept for so long.
    """
    last = end - usual
    older: Sequence[int] = range(end - panes + 1, last + 1)
    if len(slices) < len(older):
        older = sorted(pane for pane in slices if end - panes < pane <= last)
    found = {pane: slices[pane] for pane in older if pane in slices and rows_of(inputs, pane)}
    return found | {pane: slices[pane] for pane in range(last + 1, end + 1) if pane in slices}


def source_of(slices: Slices) -> int:
    """Return a number that identifies the partials of these slices."""
    return crc32(f"[{', '.join([one.revisions() for one in slices.values()])}]".encode())


def sums_of(slices: Slices, size: int, sums: int) -> dict[int, Pane]:
    """Return each pane's sum over its source partitions."""
    return {pane: one.sum(size, sums) for pane, one in slices.items()}


def held_up_to(slices: Slices, oldest: int, newest: int) -> list[int]:
    """Return the panes up to the `newest`, none of which is before the `oldest`; fast if few of many are found."""
    if newest - oldest < len(slices):
        return [pane for pane in range(oldest, newest + 1) if pane in slices]
    return [pane for pane in slices if pane <= newest]


def drop(slices: Slices, kind: str, panes: Sequence[int]) -> list[Partial]:
    """Drop panes. Return their partials."""
    return [(kind, pane, partition) for pane in panes for partition in slices.pop(pane).partials]
