"""The rows of each id, where several versions of a model may have predicted under one id.

The first row of an id is in the first index, its second row in the second, and so on. So an id with one version needs
as much memory as with a single index, and each further row the same again. The order of an id's rows has no meaning.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from app.core.join.id_index import Half, IdIndex, Ids, Rows


def are_distinct(ids: Ids) -> bool:
    """Return whether all ids are certainly distinct: their low halves already are."""
    low = np.sort(ids[:, 1])
    return not (low[1:] == low[:-1]).any()


def firsts(ids: Ids, scope: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return the positions of each id's first within its scope, ascending."""
    order = np.lexsort((ids[:, 1], ids[:, 0], scope))
    again = (ids[order][1:] == ids[order][:-1]).all(axis=1) & (scope[order][1:] == scope[order][:-1])
    return np.sort(order[np.concatenate([[True], ~again])])


def occurrences(ids: Ids) -> NDArray[np.intp]:
    """Return how often each id occurs before its position."""
    order = np.lexsort((ids[:, 1], ids[:, 0]))
    begins = np.concatenate([[True], (ids[order][1:] != ids[order][:-1]).any(axis=1)])
    place = np.arange(len(ids))
    found = np.empty(len(ids), np.intp)
    found[order] = place - np.maximum.accumulate(np.where(begins, place, 0))
    return found


class RowsById:
    """Index from ids to all their rows. Rows are numbered by the caller, who also keeps the ids by row, in columns."""

    def __init__(self, capacity: int = 1024) -> None:
        self._indexes = [IdIndex(capacity)]

    @property
    def nbytes(self) -> int:
        """Return the memory taken, in bytes."""
        return sum(index.nbytes for index in self._indexes)

    def find(self, ids: Ids, high: Half, low: Half) -> Iterator[Rows]:
        """Yield the first row of each id, then the second, and so on; -1 where there is none."""
        found = self._indexes[0].find(ids, high, low)
        yield found
        for index in self._indexes[1:]:
            known = np.flatnonzero(found >= 0)  # without a row in one index there is none in the next
            found = np.full(len(ids), -1, np.int32)
            found[known] = index.find(ids[known], high, low)
            yield found

    def add_unknown(self, ids: Ids, rows: Rows, low: Half) -> None:
        """Add ids that are distinct and have no row yet."""
        self._indexes[0].add(ids, rows, low)

    def add(self, ids: Ids, rows: Rows, high: Half, low: Half) -> None:
        """Add distinct ids, some of which may have rows."""
        for index in self._indexes:
            taken = index.find(ids, high, low) >= 0
            index.add(ids[~taken], rows[~taken], low)
            ids, rows = ids[taken], rows[taken]
            if not len(ids):
                return
        self._indexes.append(IdIndex(len(ids)))
        self._indexes[-1].add(ids, rows, low)

    def renumbered(self, numbers: NDArray[np.int32], high: Half, low: Half) -> RowsById:
        """Return an index of the remaining rows. `numbers`: the new number of each row, -1 where it is removed.

        `high` and `low` are the columns by the new numbers.
        """
        fresh = RowsById(int((numbers >= 0).sum()))
        for index in self._indexes:
            rows = numbers[index.rows]
            rows = rows[rows >= 0]
            fresh.add(np.column_stack([high[rows], low[rows]]), rows, high, low)
        return fresh
