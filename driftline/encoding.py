"""Encoding of events as JSON, from the values that models work with."""

from __future__ import annotations

import enum
import json
import math
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from driftline.losses import InvalidEvent

LONGEST_NAME = 200
LARGEST_EVENT = 1 << 20
"""Limit in bytes; Kafka accepts no larger record."""

NAMES = frozenset({"prediction_id", "model", "model_version", "request_id"})
NUMBERS = frozenset({"probability", "timestamp"})
REQUIRED = frozenset({"features", "prediction", "actual"})
MISSING_TYPES = frozenset({"NAType", "NaTType"})
"""The types of pandas' own missing values, by name: pandas is not imported."""


SPARED = frozenset({"features", "probability", "metadata"})
"""Members whose values an event can do without."""
SPELLED = frozenset({"features", "metadata"})
"""Members in which NaN is a missing value and infinities have names."""
NO_VALUE = "is no number, text, bool, date or time"


class NoPrediction:
    """The prediction of an event that has only features."""


NO_PREDICTION = NoPrediction()
ABSENT = object()
"""Marker of a member that is left out."""
AS_THEY_ARE = frozenset({str, int, bool, type(None)})
"""Types that JSON has, whatever the value."""


def encoded(event: Mapping[str, object], left_out: list[InvalidEvent] | None = None) -> bytes:
    """Encode an event as JSON.

    Members that are None are left out. Raises InvalidEvent, which names the field. With a list as `left_out`, features,
    probabilities and metadata that JSON has no form for are left out instead. Their errors are added to the list.
    """
    given: dict[str, object] = {}
    for name, value in event.items():
        if value is not None or _needed(name):
            member = _member(name, value, left_out)
            if member is not ABSENT:
                given[name] = member
    try:
        document = _dumped(given)
    except ValueError:  # UnicodeEncodeError too: each member is tried to find the one at fault
        written = {name: _written(name, value, left_out) for name, value in given.items()}
        document = _dumped({name: value for name, value in written.items() if value is not ABSENT})
    if len(document) > LARGEST_EVENT:
        raise InvalidEvent(f"the event has {len(document):,} bytes; at most {LARGEST_EVENT:,} are taken")
    return document


def encoded_row(row: Mapping[Any, object]) -> bytes:
    """Encode a row of a table as JSON, its values as those of features. Raises InvalidEvent, which names the column."""
    found = _members("column", row, None, named=True)
    try:
        return _dumped(found)
    except ValueError:
        return _dumped(_written("column", found, None))  # type: ignore[arg-type]  # of a mapping it is one


def name_text(value: object) -> object:
    """Return an id, a model or a version as its text: 7, 7.0 and numpy's 7 are `7`, a UUID its own. Never raises.

    Any other value is returned unchanged.
    """
    if type(value) is str:
        return value
    try:
        plain = json_value("", value)
        if isinstance(plain, float) and math.isfinite(plain):
            return str(int(plain)) if plain.is_integer() else repr(plain)
        return str(plain) if isinstance(plain, str) or type(plain) is int else value
    except Exception:  # noqa: BLE001 - a value's own methods may raise anything
        return value


def dated(event: dict[str, object], at: int) -> dict[str, object]:
    """Give an event whose timestamp is missing the time `at`, in nanoseconds since 1970."""
    if "timestamp" in event and (event["timestamp"] is None or type(event["timestamp"]).__name__ in MISSING_TYPES):
        return {**event, "timestamp": datetime.fromtimestamp(at / 1e9, UTC)}
    return event


def why(error: Exception) -> str:
    """Return why an event cannot be encoded, without its values.

    An error of a value's own methods may contain values.
    """
    return str(error) if isinstance(error, InvalidEvent) else f"a value cannot be read: {type(error).__name__}"


def json_value(  # noqa: PLR0911 (one for each form of a value)
    field: str, value: object
) -> str | float | bool | None:
    """Convert one value, of a feature or any other member, to one that JSON has.

    Dates and times become ISO 8601; decimals (every digit kept) and UUIDs become texts, members of an enumeration their
    values, bytes UTF-8 text; numpy's scalars and arrays of one value become numbers; pandas' NA and NaT are missing.
    `field` is the value's name in the event, such as "features.age". Raises InvalidEvent, which names it.
    """
    if type(value).__name__ in MISSING_TYPES or value is NO_PREDICTION:
        return None
    if isinstance(value, enum.Enum):
        return json_value(field, value.value)
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Decimal):
        return _decimal(field, value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        return _text(field, value)
    isoformat = getattr(value, "isoformat", None)
    if isoformat is not None and not hasattr(value, "total_seconds"):  # a duration has both
        return str(isoformat())
    return _item(field, value)


def _decimal(field: str, value: Decimal) -> str | float | None:
    if value.is_nan():
        return None
    numbers = field.partition(".")[0] in NUMBERS or value.is_infinite()
    return float(value) if numbers else format(value, "f")


def _moment(field: str, value: datetime) -> str:
    """Return an event's time in UTC: RFC 3339 cannot express past zones whose offset is not in whole minutes."""
    if value.tzinfo is None:
        raise InvalidEvent(f"{field}: a time needs its zone, such as datetime.now(UTC)")
    return value.astimezone(UTC).isoformat()


def _item(field: str, value: object) -> str | float | bool | None:
    """Convert another library's value: numpy's scalars, arrays of one value, tensors."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind == "M" and not getattr(value, "ndim", 0):  # numpy's datetime64: its item may be a bare integer
        return None if str(value) == "NaT" else str(value)
    item = getattr(value, "item", None)
    if item is None or kind == "m":  # a duration's item may be a bare integer too
        raise InvalidEvent(f"{field}: {type(value).__name__} {NO_VALUE}")
    try:
        found = item()
    except Exception as error:  # noqa: BLE001 - each library has its own for an array of many values
        raise InvalidEvent(f"{field}: {type(value).__name__} is not one value: {type(error).__name__}") from None
    if kind == "f":
        return float(found)  # a long double's item is itself
    if not (found is None or isinstance(found, str | bool | int | float)):
        raise InvalidEvent(f"{field}: {type(found).__name__} {NO_VALUE}")
    return found


def _text(field: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidEvent(f"{field}: bytes that are not UTF-8") from None


def _needed(field: str) -> bool:
    if field in REQUIRED:
        raise InvalidEvent(f"{field}: missing")
    return field in NAMES


def _member(field: str, value: object, left_out: list[InvalidEvent] | None) -> object:
    if field in NAMES:
        name = name_text(value)
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            raise InvalidEvent(f"{field}: must be a text of 1 to {LONGEST_NAME} characters")
        return name
    if isinstance(value, Mapping):
        return _members(field, value, left_out, named=field in SPELLED)
    if field == "features":
        raise InvalidEvent(f"features: {type(value).__name__} is no mapping, Series or frame of one row")
    if field == "timestamp":
        return _timestamp(value)
    try:
        found = _finite(field, value, named=False)
    except Exception as error:  # noqa: BLE001 - a value's own methods may raise anything
        return _absent(field, error, left_out)
    if found is None and value is not NO_PREDICTION:
        return ABSENT if not _needed(field) else None
    return found


def _members(
    field: str, given: Mapping[Any, object], left_out: list[InvalidEvent] | None, *, named: bool
) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in given.items():
        name = str(key)
        try:
            one = value if type(value) in AS_THEY_ARE else _finite(f"{field}.{name}", value, named=named)
        except Exception as error:  # noqa: BLE001 - a value's own methods may raise anything
            one = _absent(f"{field}.{name}", error, left_out)
        if one is not ABSENT:
            found[name] = one
    return found


def _timestamp(value: object) -> str | float | bool | None:
    if isinstance(value, datetime):
        return _moment("timestamp", value)
    if isinstance(value, str):
        return str(value)
    found = _finite("timestamp", value, named=False)
    if isinstance(found, bool | str):
        raise InvalidEvent(f"timestamp: {type(value).__name__} is no time with a zone, and no seconds since 1970")
    return found


def _absent(field: str, error: Exception, left_out: list[InvalidEvent] | None) -> object:
    """Leave a value out, or raise the error: always for a member that an event requires."""
    reason = str(error) if isinstance(error, InvalidEvent) else f"{field}: {why(error)}"
    named = InvalidEvent(reason.encode(errors="backslashreplace").decode())  # names may hold half a surrogate pair
    if left_out is None or field.partition(".")[0] not in SPARED:
        raise named from None
    left_out.append(named)
    return ABSENT


def _finite(field: str, given: object, *, named: bool) -> str | float | bool | None:
    """Return a value that JSON can express: of a feature, NaN is None, infinities are texts. Raises InvalidEvent."""
    value = json_value(field, given)
    if not isinstance(value, float) or math.isfinite(value):
        return value
    if not named:
        raise InvalidEvent(f"{field}: must be a finite number")
    return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _dumped(given: Mapping[str, object]) -> bytes:
    return json.dumps(given, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def _written(field: str, value: object, left_out: list[InvalidEvent] | None) -> object:
    """Return the part of a member that can be written as JSON; the rest is left out, or raises InvalidEvent."""
    if not isinstance(value, dict):
        try:
            _try(field, value)
        except InvalidEvent as error:
            return _absent(field, error, left_out)
        return value
    found: dict[str, object] = {}
    for name, one in value.items():
        try:
            _try(f"{field}.{name}", {name: one})
        except InvalidEvent as error:
            _absent(f"{field}.{name}", error, left_out)
        else:
            found[name] = one
    return found


def _try(field: str, value: object) -> None:
    try:
        _dumped({"": value})
    except UnicodeEncodeError:
        raise InvalidEvent(f"{field}: a text holds half a surrogate pair, which is not Unicode") from None
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        raise InvalidEvent(f"{field}: a number has too many digits") from None
