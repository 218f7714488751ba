"""Base of every event, and the types of event fields."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta, Struct

Scalar = str | int | float | bool | None
"""A cell of JSON. Whole numbers keep every digit."""
Label = str | int | float | bool
"""A prediction, or the ground truth of one."""
Timestamp = Annotated[datetime, Meta(tz=True)] | float
"""RFC 3339 with a zone, or seconds since the epoch."""

Moment = Annotated[datetime, Meta(tz=True)]
"""A moment, with its zone: a moment without a zone cannot be compared with others."""

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Event(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """Base of every event: immutable, keyword-only."""


def to_epoch(value: Timestamp) -> float:
    """Return the seconds since the epoch of either form of timestamp."""
    return value.timestamp() if isinstance(value, datetime) else float(value)


def from_epoch(seconds: float) -> datetime:
    """Return the moment of seconds since the epoch, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def utc_now() -> datetime:
    """Return this moment by the wall clock, in UTC."""
    return datetime.now(UTC)


def minute_of(moment: datetime | None) -> str:
    """Return a moment in readable form, in UTC; empty where there is none."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
