"""Events as JSON, from the values that models work with."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime

from driftline.losses import InvalidEvent

LONGEST_NAME = 200
LARGEST_EVENT = 1 << 20
"""Bytes; Kafka takes no larger record."""


def encoded(event: Mapping[str, object]) -> bytes:
    """An event as JSON; members that are None are left out. Raises InvalidEvent, which names the field."""
    given = {name: _plain(name, value) for name, value in event.items() if value is not None}
    try:
        document = json.dumps(given, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise InvalidEvent("a text holds half a surrogate pair, which is not Unicode") from None
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        raise InvalidEvent("a number has too many digits") from None
    if len(document) > LARGEST_EVENT:
        raise InvalidEvent(f"the event has {len(document):,} bytes; at most {LARGEST_EVENT:,} are taken")
    return document


def name_of(field: str, value: object) -> str:
    """A text of 1 to 200 characters. Raises InvalidEvent."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        raise InvalidEvent(f"{field}: must be a text of 1 to {LONGEST_NAME} characters")
    return value


def _plain(field: str, value: object) -> object:
    """A value of JSON: numpy's scalars as numbers, times as RFC 3339, in features NaN as missing."""
    if isinstance(value, Mapping):
        members = {str(name): _scalar(f"{field}.{name}", one) for name, one in value.items()}
        return {name: _finite(f"{field}.{name}", one, field == "features") for name, one in members.items()}
    return _finite(field, _scalar(field, value), False)


def _scalar(field: str, value: object) -> str | float | bool | None:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidEvent(f"{field}: a time needs its zone, such as datetime.now(UTC)")
        return value.isoformat()
    item = getattr(value, "item", None)  # numpy's scalars, arrays of one value, tensors
    if item is None:
        raise InvalidEvent(f"{field}: {type(value).__name__} is no number, text, or bool")
    try:
        found = item()
    except Exception as error:  # noqa: BLE001 - each library has its own for an array of many values
        raise InvalidEvent(f"{field}: {type(value).__name__} is not one value: {type(error).__name__}") from None
    if not (found is None or isinstance(found, str | bool | int | float)):
        raise InvalidEvent(f"{field}: {type(found).__name__} is no number, text, or bool")
    return found


def _finite(field: str, value: str | float | bool | None, feature: bool) -> str | float | bool | None:
    """JSON has no words for some floats: of a feature NaN is a missing value, infinities are spelled out."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    if not feature:
        raise InvalidEvent(f"{field}: must be a finite number")
    return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
