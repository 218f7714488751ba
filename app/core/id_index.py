"""A hash index from 128-bit ids to row numbers, worked on whole batches at a time.

Open addressing with linear probing over numpy arrays: 12 bytes a slot, at most 60 % full, where a dict of
bytes takes over 100 bytes an entry. Ids are already hashes, so their low bits are the position.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint64]
"""n x 2: the high and the low half of each id."""
Rows = NDArray[np.int32]

_FREE = np.int32(-1)
_MAX_LOAD = 0.6


class IdIndex:
    """Finds the row of an id. Rows are numbered by the caller, who also keeps each row's high half."""

    def __init__(self, capacity: int = 1024) -> None:
        self._low = np.empty(0, np.uint64)
        self._row = np.empty(0, np.int32)
        self._used = 0
        self._allocate(capacity)

    def _allocate(self, capacity: int) -> None:
        size = 1 << max(10, int(np.ceil(np.log2(max(capacity, 1) / _MAX_LOAD))))
        self._low = np.zeros(size, np.uint64)
        self._row = np.full(size, _FREE, np.int32)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    @property
    def nbytes(self) -> int:
        """Memory taken, in bytes."""
        return int(self._low.nbytes + self._row.nbytes)

    def find(self, ids: Ids, high: Ids) -> Rows:
        """The row of each id, -1 where unknown. `high` is the caller's column of high halves by row."""
        n = len(ids)
        found = np.full(n, -1, np.int32)
        if n == 0 or self._used == 0:
            return found
        mask = np.uint64(len(self._low) - 1)
        wanted_high, wanted_low = ids[:, 0], ids[:, 1]
        pending = np.arange(n)
        position = (wanted_low & mask).astype(np.int64)
        while len(pending):
            rows = self._row[position]
            taken = rows != _FREE
            pending, position, rows = pending[taken], position[taken], rows[taken]
            hit = (self._low[position] == wanted_low[pending]) & (high[rows] == wanted_high[pending])
            found[pending[hit]] = rows[hit]
            miss = ~hit
            pending = pending[miss]
            position = (position[miss] + 1) & np.int64(mask)
        return found

    def add(self, ids: Ids, rows: Rows) -> None:
        """Add ids that are distinct and not in the index yet."""
        if self._used + len(ids) > _MAX_LOAD * len(self._low):
            self._grow(self._used + len(ids))
        self._insert(ids[:, 1], rows)
        self._used += len(ids)

    def _grow(self, needed: int) -> None:
        taken = self._row != _FREE
        low, rows = self._low[taken], self._row[taken]
        self._allocate(2 * needed)
        self._insert(low, rows)
        self._used = len(rows)

    def _insert(self, low: NDArray[np.uint64], rows: Rows) -> None:
        mask = np.int64(len(self._low) - 1)
        position = (low & np.uint64(mask)).astype(np.int64)
        pending = np.arange(len(low))
        while len(pending):
            free = self._row[position] == _FREE
            # Several may want one free slot: all write, the last stays, the others probe on.
            self._row[position[free]] = rows[pending[free]]
            won = free & (self._row[position] == rows[pending])
            self._low[position[won]] = low[pending[won]]
            lost = ~won
            pending = pending[lost]
            position = (position[lost] + 1) & mask
