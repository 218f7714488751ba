"""Numbers of rows by pane, in arrays, so that many panes are read at once."""

from __future__ import annotations

import numpy as np

from app.core.reference.layout import Integers

LENGTH = 64
"""Panes of a block: few, as the panes of a thin model are far apart."""
_NOTHING = np.zeros(LENGTH, np.int64)


class RowCounts:
    """The number of rows of each pane, by whole blocks of panes; a block without rows takes no memory."""

    def __init__(self) -> None:
        self._blocks: dict[int, Integers] = {}

    def add(self, pane: int, n: int) -> None:
        """Add n rows to a pane; a negative n subtracts them."""
        if not n:
            return
        number, place = divmod(pane, LENGTH)
        block = self._blocks.get(number)
        if block is None:
            block = self._blocks[number] = np.zeros(LENGTH, np.int64)
        block[place] += n
        if n < 0 and not block.any():
            del self._blocks[number]

    def between(self, first: int, last: int) -> Integers:
        """Return the rows of each pane from `first` up to `last`, to be read only."""
        start, stop = first // LENGTH, last // LENGTH
        blocks = [self._blocks.get(number, _NOTHING) for number in range(start, stop + 1)]
        if not blocks:
            return _NOTHING[:0]
        found = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return found[first - start * LENGTH : last + 1 - start * LENGTH]

    def sum(self, first: int, last: int) -> int:
        """Return the rows of all panes from `first` up to `last`."""
        return int(self.between(first, last).sum())
