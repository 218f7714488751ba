"""A hash index from 128-bit ids to row numbers, which works on whole batches at a time.

Open addressing with linear probing over numpy arrays: 8 bytes a slot, at most 60 % full. A dict of bytes takes over
100 bytes an entry. Ids are already hashes. So their low bits are the position, and the highest bits of the low half
are a tag that distinguishes most ids without a look at the row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint64]
"""The high and the low half of each id (n x 2)."""
Half = NDArray[np.uint64]
"""One half of each row's id."""
Rows = NDArray[np.int32]

_FREE = np.int32(-1)
_MAX_LOAD = 0.6
_TAG = np.uint64(32)


class IdIndex:
    """Index from ids to rows. Rows are numbered by the caller, who also keeps the ids by row."""

    def __init__(self, capacity: int = 1024) -> None:
        self._tag = np.empty(0, np.uint32)
        self._row = np.empty(0, np.int32)
        self._used = 0
        self._allocate(capacity)

    def _allocate(self, capacity: int) -> None:
        size = 1 << max(10, int(np.ceil(np.log2(max(capacity, 1) / _MAX_LOAD))))
        self._tag = np.zeros(size, np.uint32)
        self._row = np.full(size, _FREE, np.int32)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    @property
    def nbytes(self) -> int:
        """Return the memory taken, in bytes."""
        return int(self._tag.nbytes + self._row.nbytes)

    @property
    def rows(self) -> Rows:
        """Return all rows, in no order."""
        rows: Rows = self._row[self._row != _FREE]
        return rows

    def find(self, ids: Ids, high: Half, low: Half) -> Rows:
        """Return the row of each id, -1 where unknown. `high` and `low` are the caller's columns of halves by row."""
        n = len(ids)
        found = np.full(n, -1, np.int32)
        if n == 0 or self._used == 0:
            return found
        mask = np.uint64(len(self._row) - 1)
        wanted_high, wanted_low = ids[:, 0], ids[:, 1]
        wanted_tag = (wanted_low >> _TAG).astype(np.uint32)
        pending = np.arange(n)
        position = (wanted_low & mask).astype(np.int64)
        while len(pending):
            rows = self._row[position]
            taken = rows != _FREE
            pending, position, rows = pending[taken], position[taken], rows[taken]
            hit = self._tag[position] == wanted_tag[pending]
            alike = np.flatnonzero(hit)
            asked, at = pending[alike], rows[alike]
            hit[alike] = (low[at] == wanted_low[asked]) & (high[at] == wanted_high[asked])
            found[pending[hit]] = rows[hit]
            miss = ~hit
            pending = pending[miss]
            position = (position[miss] + 1) & np.int64(mask)
        return found

    def add(self, ids: Ids, rows: Rows, low: Half) -> None:
        """Add ids that are distinct and not in the index yet. `low` is the caller's column, these rows included."""
        if self._used + len(ids) > _MAX_LOAD * len(self._row):
            self._grow(self._used + len(ids), low)
        self._insert(ids[:, 1], rows)
        self._used += len(ids)

    def _grow(self, needed: int, low: Half) -> None:
        rows = self.rows
        self._allocate(needed)  # a power of two, so at least doubled
        self._insert(low[rows], rows)
        self._used = len(rows)

    def _insert(self, low: Half, rows: Rows) -> None:
        mask = np.int64(len(self._row) - 1)
        position = (low & np.uint64(mask)).astype(np.int64)
        tag = (low >> _TAG).astype(np.uint32)
        pending = np.arange(len(low))
        while len(pending):
            free = self._row[position] == _FREE
            # Several ids may have the same free slot: all write, the last stays, the others probe on.
            self._row[position[free]] = rows[pending[free]]
            won = free & (self._row[position] == rows[pending])
            self._tag[position[won]] = tag[pending[won]]
            lost = ~won
            pending = pending[lost]
            position = (position[lost] + 1) & mask
