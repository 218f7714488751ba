"""Columns of a pandas table as cells."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import pandas as pd

from app.core.config.close_names import did_you_mean
from app.core.values.cell import Cell, UnreadableCellError, cell_of
from app.core.values.precision import Floats, Precision, shortest_decimals
from app.core.values.reading import Mask, Reading, number_of, numbers
from app.tables.errors import TableError

Cells = Sequence[Cell] | Floats
Probability = float | dict[str, float]

TEXT, DECIMAL = "driftline_text", "driftline_decimal"
"""Attributes of a table: whether all cells are text (of a file without types), and the decimal mark of numbers."""
SHOWN_COLUMNS = 30
_PRECISIONS: Mapping[str, Precision] = {"float32": "float32", "float16": "float16"}


def column_of(frame: pd.DataFrame, name: str, key: str = "") -> pd.Series:
    """Return one column, which `key` of monitoring.json names.

    Raises TableError, which names both, where the column is missing.
    """
    if name in frame.columns:
        return frame[name]
    known = ", ".join(map(str, frame.columns[:SHOWN_COLUMNS]))
    more = ", …" if len(frame.columns) > SHOWN_COLUMNS else ""
    named = f" ({key} names it)" if key else ""
    hint = did_you_mean(name, map(str, frame.columns), before="; ")
    raise TableError(f"no column {name!r} in the table{named}; it has {known}{more}{hint}")


class CellTable:
    """Columns of one table as cells, each converted once.

    `typed`: whether the table's own types show what is text. In a CSV, every cell is text.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.typed = not frame.attrs.get(TEXT, False)
        self.decimal: str = frame.attrs.get(DECIMAL, ".")
        self._cells: dict[str, Cells] = {}
        self._numbers: dict[tuple[str, Reading], tuple[Floats, Mask]] = {}

    def __len__(self) -> int:
        return len(self.frame)

    def __contains__(self, name: object) -> bool:
        return name in self.frame.columns

    def cells(self, name: str, key: str = "") -> Cells:
        """Return a column's cells. A column of floats is an array (NaN where missing).

        Numbers of a narrow float column are as they are written. Raises TableError, which names the column that is
        missing, or that contains lists, objects or the like.
        """
        if name not in self._cells:
            cells = cells_of(column_of(self.frame, name, key))
            if isinstance(cells, np.ndarray):
                cells = shortest_decimals(cells, self.precision(name))
            self._cells[name] = cells
        return self._cells[name]

    def listed(self, name: str, key: str = "") -> Sequence[Cell]:
        """Return a column's cells as plain Python values, also for a column of floats. Raises TableError as `cells`."""
        cells = self.cells(name, key)
        return cells.tolist() if isinstance(cells, np.ndarray) else cells

    def numbers(self, name: str, reading: Reading) -> tuple[Floats, Mask]:
        """Return a column's numbers, and a mask of the cells that are no numbers (see `numbers`).

        Each column is read once. Raises TableError.
        """
        if (name, reading) not in self._numbers:
            self._numbers[name, reading] = numbers(self.cells(name), reading, self.decimal)
        return self._numbers[name, reading]

    def precision(self, name: str) -> Precision:
        """Return the precision in which the table stores a column's numbers."""
        kind = str(self.frame[name].dtype)
        return _PRECISIONS.get(kind.lower(), "float64")

    def probabilities(self, name: str) -> list[Probability | None]:
        """Return a column of probabilities: numbers, or {class: p} as objects or as their JSON text.

        Raises TableError, which names the column and the row of the first value that is neither.
        """
        column = column_of(self.frame, name)
        return [
            self._probability(name, row, value)
            for row, value in enumerate(column.astype(object).where(column.notna(), None).tolist(), 1)
        ]

    def _probability(self, name: str, row: int, value: object) -> Probability | None:
        found = _mapping_of(value) if isinstance(value, str) and value.lstrip()[:1] == "{" else value
        if isinstance(found, Mapping):
            parts = {str(label): number_of(cell_of(p)) for label, p in found.items() if p is not None}
            if None not in parts.values():
                return {label: p for label, p in parts.items() if p is not None}
        elif not isinstance(found, (list, tuple, np.ndarray)):
            number = number_of(cell_of(found), decimal=self.decimal)
            if number is not None:
                return None if np.isnan(number) else number
        raise TableError(f"column {name!r} row {row}: {value!r} is no probability, nor one for each class")


def _mapping_of(text: str) -> object:
    """Return the object that a text contains as JSON, or as Python prints a dict; else the text itself."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def cells_of(column: pd.Series) -> Cells:
    """Return a pandas column as cells with every digit; missing cells are None. A column of floats becomes float64.

    Raises TableError, which names the column, where the column contains lists, objects or the like.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        categories = [*_plain(pd.Series(dtype.categories, name=column.name)), None]
        return [categories[code] for code in column.cat.codes.tolist()]
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        floats: Floats = column.to_numpy(dtype=np.float64)
        return floats
    return _plain(column)


def _plain(column: pd.Series) -> list[Cell]:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iub":
        plain: list[Cell] = column.tolist()
        return plain
    missing = column.isna().to_numpy()
    try:
        return [None if gone else cell_of(value) for value, gone in zip(column.tolist(), missing.tolist(), strict=True)]
    except UnreadableCellError as error:
        raise TableError(
            f"column {column.name!r} holds {error}, neither numbers nor categories: "
            f"list it under columns.ignore, or convert it"
        ) from None
