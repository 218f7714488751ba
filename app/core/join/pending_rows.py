"""Storage of the predictions that wait for their feedback, as columns that grow together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.join.id_index import Ids, Rows
from app.core.join.rows_by_id import RowsById, are_distinct, occurrences
from app.core.panes.grouping import by_group

_COLUMNS: dict[str, type] = {
    "high": np.uint64,
    "low": np.uint64,
    "ordinal": np.uint32,
    "model": np.int16,
    "pane": np.int32,
    "label": np.int16,
    "value": np.float64,
    "actual": np.float64,
    "joined": np.uint8,
    "told": np.uint32,
}


@dataclass(frozen=True, slots=True)
class NewRows:
    """Predictions to add, in offset order: n x 2 ids and n of everything else.

    `model` numbers the watched model version (for one that is not watched any more see `JoinState.scopes_of`), `pane`
    the pane. `label` is the predicted class (-1 where it is not one of the profile's, or for regression). `value` is
    the probability or the predicted number (or NaN).
    """

    ids: Ids
    model: NDArray[np.int16]
    pane: NDArray[np.int32]
    label: NDArray[np.int16]
    value: NDArray[np.float64]


class PendingRows:
    """Columns of pending predictions with an index by id.

    `joined` is the kind of the truth (see `truths.py`), 0 where there is none. Where there is one, `actual` is the
    truth as its model reads it, and `told` its time (see `truths.whole_seconds`).
    """

    def __init__(self) -> None:
        self._columns: dict[str, NDArray[Any]] = {name: np.empty(1024, kind) for name, kind in _COLUMNS.items()}
        self._index = RowsById()
        self._n = 0
        self.next_ordinal = 0

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return one column without its spare capacity, in the type of its name."""
        return self._columns[name][: self._n]

    @property
    def nbytes(self) -> int:
        """Return the memory taken, in bytes, spare capacity included."""
        return sum(column.nbytes for column in self._columns.values()) + self._index.nbytes

    def find(self, ids: Ids) -> Iterator[Rows]:
        """Yield a row of each id (-1 where unknown), then another one of those that have two, and so on."""
        return self._index.find(ids, self._columns["high"], self._columns["low"])

    def add(self, new: NewRows, *, shared: bool = False) -> Rows:
        """Add new rows; return their row numbers. Ids may have rows already, and may repeat, if they are `shared`."""
        n = len(new.ids)
        start, end = self._n, self._n + n
        self._reserve(end)
        columns = self._columns
        columns["high"][start:end] = new.ids[:, 0]
        columns["low"][start:end] = new.ids[:, 1]
        columns["ordinal"][start:end] = np.arange(self.next_ordinal, self.next_ordinal + n, dtype=np.uint64)
        columns["joined"][start:end] = 0
        for name in ("model", "pane", "label", "value"):
            columns[name][start:end] = getattr(new, name)
        rows = np.arange(start, end, dtype=np.int32)
        if not shared:
            self._index.add_unknown(new.ids, rows, columns["low"])
        elif are_distinct(new.ids):
            self._index.add(new.ids, rows, columns["high"], columns["low"])
        else:
            for _, some in by_group(occurrences(new.ids)):
                self._index.add(new.ids[some], rows[some], columns["high"], columns["low"])
        self._n = end
        self.next_ordinal += n
        return rows

    def join(self, rows: Rows, actual: NDArray[np.float64], kinds: NDArray[np.uint8], told: NDArray[np.uint32]) -> None:
        """Write the truth of rows: `actual`, the kinds and the times `told`."""
        self._columns["actual"][rows] = actual
        self._columns["joined"][rows] = kinds
        self._columns["told"][rows] = told

    def rows_of(self, ordinals: NDArray[np.uint32]) -> Rows:
        """Return the row numbers of ordinals, -1 where the row was removed. Ordinals ascend with rows."""
        known = self["ordinal"]
        if not len(known):
            return np.full(len(ordinals), -1, np.int32)
        rows = np.searchsorted(known, ordinals).clip(max=len(known) - 1)
        return np.where(known[rows] == ordinals, rows, -1).astype(np.int32)

    def drop(self, gone: NDArray[np.bool_]) -> None:
        """Remove rows (a mask over all of them) and renumber the rest."""
        keep = ~gone
        n = int(keep.sum())
        capacity = max(1024, int(n * 1.25))
        for name, column in self._columns.items():
            fresh = np.empty(capacity, column.dtype)
            fresh[:n] = column[: self._n][keep]
            self._columns[name] = fresh
        numbers = np.where(keep, np.cumsum(keep, dtype=np.int32) - 1, -1).astype(np.int32)
        self._n = n
        self._index = self._index.renumbered(numbers, self._columns["high"], self._columns["low"])

    def _reserve(self, needed: int) -> None:
        capacity = len(self._columns["high"])
        if needed <= capacity:
            return
        capacity = max(needed, int(capacity * 1.25))
        for name, column in self._columns.items():
            fresh = np.empty(capacity, column.dtype)
            fresh[: self._n] = column[: self._n]
            self._columns[name] = fresh
