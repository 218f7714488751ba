"""Cells: the scalars of tables, events and callers, whichever library made them."""

from __future__ import annotations

import enum
import math
import uuid
from decimal import Decimal

Cell = str | int | float | bool | Decimal | None
"""A value before its column's reading is applied. None is a missing value."""

_PLAIN = frozenset({str, int, float, bool, type(None)})
_MISSING_TYPES = frozenset({"NAType", "NaTType"})
"""The types of pandas' own missing values, by name: the core does not import pandas."""
_COLLECTIONS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (dict, "an object"),
    ((list, tuple, set, frozenset), "a list"),
    (complex, "a complex number"),
)


class UnreadableCellError(TypeError):
    """Error for a value that is no cell: a list, an object, a duration. Its text names the value's type."""


def cell_of(value: object) -> Cell:  # noqa: PLR0911 (one for each kind of object)
    """Convert a Python object to a cell.

    Numpy's scalars become Python's, dates and times ISO 8601 text, UUIDs text, bytes UTF-8 text, an enumeration's
    member its value; pandas' NA and NaT, and a Decimal that is not a number, become None.

    Raises UnreadableCellError for lists, objects, durations, bytes that are not UTF-8, and every other type.
    """
    if type(value) in _PLAIN:
        return value  # type: ignore[return-value]  # the set says so
    if type(value).__name__ in _MISSING_TYPES:
        return None
    if isinstance(value, enum.Enum):
        return cell_of(value.value)
    if isinstance(value, Decimal):
        return None if value.is_nan() else float(value) if value.is_infinite() else value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | int | float):
        return cell_of(_base(value))
    if isinstance(value, bytes):
        return _text_of(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    for kinds, words in _COLLECTIONS:
        if isinstance(value, kinds):
            raise UnreadableCellError(words)
    return _other(value)


def _base(value: float) -> float:
    """Return a number of a subclass (numpy's float64, an IntFlag) as the plain number."""
    if isinstance(value, int):
        return int(value)
    return float(value)


def _text_of(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise UnreadableCellError("bytes that are not UTF-8") from None


def _other(value: object) -> Cell:
    """Convert objects that only their attributes describe: numpy's scalars, and dates and times of any library."""
    dtype = getattr(value, "dtype", None)
    if dtype is not None and getattr(value, "ndim", 0) == 0:
        if dtype.kind == "M":  # numpy's own datetime64: its item is a bare integer at nanoseconds
            text = str(value)
            return None if text == "NaT" else text
        if dtype.kind in "biufSU":
            item = value.item()  # type: ignore[attr-defined]  # numpy's scalars have it
            return cell_of(float(item) if dtype.kind == "f" else item)  # item() of a long double returns a long double
    elif dtype is not None:
        raise UnreadableCellError("a list")
    isoformat = getattr(value, "isoformat", None)
    if isoformat is not None and not hasattr(value, "total_seconds"):
        return str(isoformat())
    raise UnreadableCellError(f"a value of type {type(value).__name__}")


def is_missing(cell: Cell) -> bool:
    """Return whether a cell is missing in every column: null, or a float that is not a number."""
    return cell is None or (isinstance(cell, float) and math.isnan(cell))
