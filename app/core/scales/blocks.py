"""Panes before a window, added up by blocks, so that days and weeks are judged at little cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol
from zlib import crc32

from app.core.panes.pane import Pane, merge

MOST_ROWS = 10_000
"""Maximum rows of a span that is judged beyond the window; no more rows are kept for it."""
PARTS = 64
"""Minimum number of blocks of a span. A span is judged by whole blocks, which makes it a little shorter."""


class SummedPanes(Protocol):
    """A pane of several source partitions."""

    def sum(self, size: int, sums: int) -> Pane:
        """Return the sum of all partials."""

    def revisions(self) -> str:
        """Return the partials of the sum as text."""


def block_length(spans: Sequence[int]) -> int:
    """Return the number of panes of a block for these spans (in panes): a power of two."""
    length = 1
    while spans and length * 2 * PARTS <= min(spans):
        length *= 2
    return length


@dataclass(frozen=True, slots=True, eq=False)
class Older:
    """Panes and blocks before a window's own, each by its oldest pane. `spans`: the spans that they are enough for.

    `source`: a number that identifies their partials. `held`: how many panes back the oldest known pane is; a longer
    span covers no more time.
    """

    spans: tuple[int, ...] = ()
    panes: Mapping[int, Pane] = field(default_factory=dict)
    source: int = 0
    held: float = inf


NOTHING_OLDER = Older()


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    n: int
    total: Pane
    source: int


class Blocks:
    """The sums of whole blocks of panes, each computed once. `spans`: numbers of panes that are judged with them."""

    def __init__(self, spans: Sequence[int], size: int, sums: int) -> None:
        self.spans = tuple(sorted(spans))
        self.length = block_length(self.spans)
        self._size, self._sums = size, sums
        self._made: dict[int, _Block | None] = {}

    def changed(self, pane: int) -> None:
        """Note that a pane has changed."""
        self._made.pop(pane // self.length, None)

    def older(self, slices: Mapping[int, SummedPanes], end: int, first: int, rows: int, oldest: int) -> Older:
        """Return what lies before `first`, as far back as there are spans with no more than MOST_ROWS rows.

        `rows`: those from `first` to `end`; `oldest`: the oldest pane with rows.
        """
        held = end - min(oldest, end) + 1
        if not self.spans or rows > MOST_ROWS:
            return Older(held=held)
        panes: dict[int, Pane] = {}
        sources = list[object]()
        block = (first - 1) // self.length
        for pane in range(first - 1, block * self.length - 1, -1):
            if pane in slices:
                panes[pane] = slices[pane].sum(self._size, self._sums)
                sources.append(slices[pane].revisions())
                rows += panes[pane].n
        reached = list[int]()
        for span in self.spans:
            while (block - 1) * self.length > end - span and rows <= MOST_ROWS:
                block -= 1
                made = self._block(slices, block)
                if made is not None:
                    panes[block * self.length] = made.total
                    sources.append(made.source)
                    rows += made.n
            if rows > MOST_ROWS:
                break
            reached.append(span)
        if not reached:
            return Older(held=held)
        kept = {pane: one for pane, one in panes.items() if pane > end - reached[-1]}
        return Older(tuple(reached), kept, crc32(repr(sources).encode()), held)

    def _block(self, slices: Mapping[int, SummedPanes], block: int) -> _Block | None:
        if block not in self._made:
            inside = [slices[pane] for pane in range(block * self.length, (block + 1) * self.length) if pane in slices]
            made = None
            if inside:
                total = merge((one.sum(self._size, self._sums) for one in inside), self._size, self._sums)
                made = _Block(total.n, total, crc32(", ".join([one.revisions() for one in inside]).encode()))
            self._made[block] = made
        return self._made[block]
