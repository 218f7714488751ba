"""Events as JSON, from the values that models work with."""

from __future__ import annotations

import enum
import json
import math
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

from driftline.losses import InvalidEvent

LONGEST_NAME = 200
LARGEST_EVENT = 1 << 20
"""Bytes; Kafka takes no larger record."""

NAMES = frozenset({"prediction_id", "model", "model_version", "request_id"})
NUMBERS = frozenset({"probability", "timestamp"})
REQUIRED = frozenset({"features", "prediction", "actual"})
MISSING_TYPES = frozenset({"NAType", "NaTType"})
"""The types of pandas' own missing values, by name: pandas is not imported."""


class NoPrediction:
    """The prediction of an event that has features alone."""


NO_PREDICTION = NoPrediction()
AS_THEY_ARE = frozenset({str, int, bool, type(None)})
"""Types that JSON has, whatever the value."""


def encoded(event: Mapping[str, object]) -> bytes:
    """Encode an event as JSON.

    Members that are None are left out. Raises InvalidEvent, which names the field.
    """
    given = {name: _member(name, value) for name, value in event.items() if value is not None or _needed(name)}
    try:
        document = json.dumps(given, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise InvalidEvent("a text holds half a surrogate pair, which is not Unicode") from None
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        raise InvalidEvent("a number has too many digits") from None
    if len(document) > LARGEST_EVENT:
        raise InvalidEvent(f"the event has {len(document):,} bytes; at most {LARGEST_EVENT:,} are taken")
    return document


def dated(event: dict[str, object], at: int) -> dict[str, object]:
    """Give an event whose timestamp is None the time `at`, in nanoseconds since 1970."""
    if "timestamp" in event and event["timestamp"] is None:
        return {**event, "timestamp": datetime.fromtimestamp(at / 1e9, UTC)}
    return event


def why(error: Exception) -> str:
    """Say why an event cannot be encoded, without its values. An error of a value's own methods may hold them."""
    return str(error) if isinstance(error, InvalidEvent) else f"a value cannot be read: {type(error).__name__}"


def json_value(  # noqa: PLR0911 (one for each form of a value)
    field: str, value: object
) -> str | float | bool | None:
    """Convert one value, of a feature or any other member, to one that JSON has.

    A time becomes RFC 3339, a date ISO 8601; decimals (every digit kept) and UUIDs become texts, members of an
    enumeration their values, bytes UTF-8 text; numpy's scalars and arrays of one value become numbers; pandas' NA and
    NaT are missing. `field` is the value's name in the event, such as "features.age". Raises InvalidEvent, which names
    it.
    """
    if isinstance(value, enum.Enum):
        return json_value(field, value.value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if value is NO_PREDICTION or type(value).__name__ in MISSING_TYPES:
        return None
    if isinstance(value, Decimal):
        return _decimal(field, value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        return _text(field, value)
    return _moment(field, value) if isinstance(value, date) else _item(field, value)


def _decimal(field: str, value: Decimal) -> str | float | None:
    if value.is_nan():
        return None
    numbers = field.partition(".")[0] in NUMBERS or value.is_infinite()
    return float(value) if numbers else format(value, "f")


def _moment(field: str, value: date) -> str:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise InvalidEvent(f"{field}: a time needs its zone, such as datetime.now(UTC)")
    return value.isoformat()


def _item(field: str, value: object) -> str | float | bool | None:
    """Convert what another library made: numpy's scalars, arrays of one value, tensors."""
    if getattr(getattr(value, "dtype", None), "kind", "") == "M":  # numpy's datetime64: its item may be a bare integer
        return None if str(value) == "NaT" else str(value)
    item = getattr(value, "item", None)
    if item is None:
        raise InvalidEvent(f"{field}: {type(value).__name__} is no number, text, or bool")
    try:
        found = item()
    except Exception as error:  # noqa: BLE001 - each library has its own for an array of many values
        raise InvalidEvent(f"{field}: {type(value).__name__} is not one value: {type(error).__name__}") from None
    if not (found is None or isinstance(found, str | bool | int | float)):
        raise InvalidEvent(f"{field}: {type(found).__name__} is no number, text, or bool")
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


def _member(field: str, value: object) -> object:
    if field in NAMES:
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
            raise InvalidEvent(f"{field}: must be a text of 1 to {LONGEST_NAME} characters")
        return value
    if isinstance(value, Mapping):
        feature = field == "features"
        return {
            str(name): one if type(one) in AS_THEY_ARE else _finite(f"{field}.{name}", one, feature=feature)
            for name, one in value.items()
        }
    return _finite(field, value, feature=False)


def _finite(field: str, given: object, *, feature: bool) -> str | float | bool | None:
    """JSON has no words for some floats: of a feature NaN is a missing value, infinities are spelled out."""
    value = json_value(field, given)
    if not isinstance(value, float) or math.isfinite(value):
        return value
    if not feature:
        raise InvalidEvent(f"{field}: must be a finite number")
    return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
