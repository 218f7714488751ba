"""Conversion of a run's values to fields of events: ids, times, labels, probabilities, features.

Each function takes a column with one value for each record, and returns the converted column. It adds a reason to
`wrong` for each value that it cannot convert, by its position, beginning with the field. A record keeps its first
reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

from app.core.values.accepted import LONGEST_NAME, NUL, id_of, wrong_name, wrong_probability, wrong_text
from app.core.values.cell import UnreadableCellError, cell_of
from app.core.values.times import believable
from topics.events import Label, Scalar

Wrong = dict[int, str]

MOST_DIGITS = 1000
"""Of a decimal that becomes a whole number: Python writes no more than some thousands."""
PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")

_TEXTS = frozenset({str})
_NUMBERS = frozenset({int, float})
_LABELS = frozenset({str, int, bool})
_SCALARS = frozenset({str, int, float, bool, type(None)})
_KINDS = {dict: "an object", list: "a list", bool: "true or false", str: "text", bytes: "bytes"}


def _kind(value: object) -> str:
    return next((words for kind, words in _KINDS.items() if isinstance(value, kind)), type(value).__name__)


def names(values: Sequence[Any], field: str, path: str, wrong: Wrong) -> Sequence[str]:
    """Return ids, models or versions in their canonical form."""
    if set(map(type, values)) <= _TEXTS:
        joined = "".join(values)
        lengths = set(map(len, values))
        if joined.isascii() and NUL not in joined and 0 not in lengths and max(lengths, default=1) <= LONGEST_NAME:
            return values
    return [_name(value, i, field, path, wrong) for i, value in enumerate(values)]


def _name(value: Any, i: int, field: str, path: str, wrong: Wrong) -> str:
    if value is None:
        wrong.setdefault(i, f"{field}: nothing at {path}")
        return ""
    if isinstance(value, UUID):
        value = str(value)
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() <= MOST_DIGITS:
        value = int(value) if value == value.to_integral_value() else str(value)
    if isinstance(value, bool | bytes) or not isinstance(value, str | int | float):
        wrong.setdefault(i, f"{field}: must be text or a number, not {_kind(value)}, at {path}")
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        wrong.setdefault(i, f"{field}: is no number at {path}")
        return ""
    name = id_of(value)
    if reason := wrong_name(field, name):
        wrong.setdefault(i, reason)
    return name


def seconds(values: Sequence[Any], unit: str, zone: ZoneInfo | None, path: str, wrong: Wrong) -> list[float]:
    """Return times as seconds since the epoch. Numbers are in `unit`; texts that name no zone are in `zone`."""
    found: np.ndarray[Any, np.dtype[np.float64]] | None = None
    if unit in PER_SECOND and set(map(type, values)) <= _NUMBERS:
        try:
            found = np.array(values, np.float64) / PER_SECOND[unit]
        except OverflowError:
            found = None
    if found is None:
        found = np.array([_seconds(value, i, unit, zone, path, wrong) for i, value in enumerate(values)], np.float64)
    for i in np.flatnonzero(~believable(found)).tolist():
        wrong.setdefault(i, f"time: at {path} is outside 1970 to 2100: is time_unit = {unit!r} right?")
    times: list[float] = found.tolist()
    return times


def _seconds(value: Any, i: int, unit: str, zone: ZoneInfo | None, path: str, wrong: Wrong) -> float:
    """Return one time; NaN, with a reason in `wrong`, for a value that is no time."""
    reason = ""
    if isinstance(value, str) and unit in PER_SECOND and NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if unit in PER_SECOND:
            return _float(value) / PER_SECOND[unit]
        reason = 'time: must be ISO 8601 text; for a number set time_unit to "s", "ms", "us" or "ns"'
    elif isinstance(value, str):
        value = _moment(value)
        reason = "" if value is not None else f"time: is no time at {path}; ISO 8601 is as 2026-06-01T12:00:00Z"
    if isinstance(value, datetime):
        if value.tzinfo is None and zone is not None:
            value = value.replace(tzinfo=zone)
        if value.tzinfo is not None:
            return float(value.timestamp())
        reason = f'time: names no zone at {path}; set time_zone = "UTC", say'
    if value is None and not reason:
        reason = f"time: nothing at {path}"
    wrong.setdefault(i, reason or f"time: must be a number or text, not {_kind(value)}, at {path}")
    return math.nan


def _float(value: float | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _moment(text: str) -> datetime | None:
    text = text.strip()
    if ":" not in text:  # a date alone, or digits
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def labels(
    values: Sequence[Any], field: str, path: str, wrong: Wrong, *, needed: bool = True
) -> Sequence[Label | None]:
    """Return predictions or truths. If `needed`, none may be missing."""
    kinds = set(map(type, values))
    if kinds <= _LABELS and not (str in kinds and any(NUL in value for value in values if type(value) is str)):
        return values
    if kinds == {float} and np.isfinite(np.array(values, np.float64)).all():
        return values
    return [_label(value, i, field, path, wrong, needed=needed) for i, value in enumerate(values)]


def _label(value: Any, i: int, field: str, path: str, wrong: Wrong, *, needed: bool) -> Label | None:
    try:
        cell = _plain(value)
    except UnreadableCellError as error:
        wrong.setdefault(i, f"{field}: must be text, a number or true or false, not {error}, at {path}")
        return None
    if isinstance(cell, float) and not math.isfinite(cell):
        wrong.setdefault(i, f"{field}: is no finite number at {path}")
        return None
    if cell is None and needed:
        wrong.setdefault(i, f"{field}: nothing at {path}")
    if isinstance(cell, str) and (reason := wrong_text(field, cell)):
        wrong.setdefault(i, reason)
    return cell


def _plain(value: Any) -> Scalar:
    """Return a value as a cell of JSON. Raises UnreadableCellError."""
    cell = cell_of(value)
    if isinstance(cell, Decimal):
        is_whole = cell.adjusted() <= MOST_DIGITS and cell == cell.to_integral_value()
        return int(cell) if is_whole else float(cell)
    return cell


def probabilities(values: Sequence[Any], path: str, wrong: Wrong) -> Sequence[float | dict[str, float] | None]:
    """Return probabilities, each a number or one number by class; None where it is missing."""
    if set(map(type, values)) == {float}:
        given = np.array(values, np.float64)
        if bool(((given >= 0.0) & (given <= 1.0)).all()):
            return values
    return [_probability(value, i, path, wrong) for i, value in enumerate(values)]


def _probability(value: Any, i: int, path: str, wrong: Wrong) -> float | dict[str, float] | None:
    if value is None:
        return None
    given = {str(name): _number(one) for name, one in value.items()} if isinstance(value, dict) else _number(value)
    if given is None or (isinstance(given, dict) and (not given or None in given.values())):
        hint = (
            "; name one of a list as [1], or make an object with {no: [0], yes: [1]}" if isinstance(value, list) else ""
        )
        wrong.setdefault(i, f"probability: must be a number, or an object of numbers by class, at {path}{hint}")
        return None
    if reason := wrong_probability(given):  # type: ignore[arg-type]  # no None in it, as looked for above
        wrong.setdefault(i, f"{reason}, at {path}")
    return given  # type: ignore[return-value]


def _number(value: Any) -> float | None:
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return _float(value)


def checked_features(rows: Sequence[dict[str, Any]], wrong: Wrong) -> Sequence[dict[str, Scalar]]:
    """Return features, each value one that JSON has."""
    return [
        row if _SCALARS.issuperset(map(type, row.values())) else _features(row, i, wrong) for i, row in enumerate(rows)
    ]


def _features(row: dict[str, Any], i: int, wrong: Wrong) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    for name, value in row.items():
        try:
            found[name] = _plain(value)
        except UnreadableCellError as error:
            wrong.setdefault(i, f"features.{name}: must be text, a number, true, false or null, not {error}")
    return found
