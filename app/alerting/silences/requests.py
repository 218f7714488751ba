"""Requests for silences: checked, converted, ended and sent, for the command line and the API."""

from __future__ import annotations

import uuid
import zoneinfo
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.core.config.close_names import did_you_mean
from app.core.config.matchers import MOST_MATCHERS, MatcherError, matcher_of
from app.core.config.weekly import WeeklyError, weekly_of
from app.kafka.producer import Producer
from topics.events import Hours, SilenceEvent
from topics.registry import SILENCES

LONGEST_COMMENT = 1000
LONGEST_ZONE = 100


class SilenceError(ValueError):
    """Error of an invalid silence. The message starts with the field."""


class SilenceRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a silence. Without `starts_at` the silence begins at once; `seconds` can replace `ends_at`.

    Where the API requires a key, `created_by` is the name of that key, whatever the request contains.
    """

    matchers: tuple[str, ...]
    comment: str
    created_by: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    seconds: float | None = None
    hours: Hours | None = None


def silence_of(asked: SilenceRequest, now: datetime) -> SilenceEvent:
    """Check a request and return its silence. Raises SilenceError."""
    matchers = _matchers(asked.matchers)
    if asked.hours is not None:
        _check_hours(asked.hours)
    elif not matchers:
        raise SilenceError("matchers: name at least one label, or everything would be silent")
    for name in ("comment", "created_by"):
        if not 0 < len(getattr(asked, name).strip()) <= LONGEST_COMMENT:
            raise SilenceError(f"{name}: must have 1 to {LONGEST_COMMENT} characters, for whoever reads it later")
    starts_at, ends_at = _span(asked, now)
    return SilenceEvent(
        silence_id=uuid.uuid4().hex[:12],
        matchers=matchers,
        starts_at=starts_at,
        ends_at=ends_at,
        created_at=now,
        created_by=asked.created_by.strip(),
        comment=asked.comment.strip(),
        hours=asked.hours,
    )


def _matchers(texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(texts) > MOST_MATCHERS:
        raise SilenceError(f"matchers: at most {MOST_MATCHERS}")
    try:
        return tuple(str(matcher_of(text)) for text in texts)
    except MatcherError as error:
        raise SilenceError(f"matchers: {error}") from None


def _check_hours(hours: Hours) -> None:
    try:
        weekly_of(hours.weekdays, hours.start, hours.end)
    except WeeklyError as error:
        raise SilenceError(f"hours.{error}") from None
    zones = zoneinfo.available_timezones()
    if hours.zone not in zones:
        if len(hours.zone) > LONGEST_ZONE:
            raise SilenceError("hours.zone: there is no time zone of so long a name; write it as Europe/Berlin")
        hint = did_you_mean(hours.zone, zones) or "write it as Europe/Berlin"
        raise SilenceError(f"hours.zone: there is no time zone {hours.zone!r}; {hint}")


def _span(asked: SilenceRequest, now: datetime) -> tuple[datetime, datetime | None]:
    for name in ("starts_at", "ends_at"):
        moment = getattr(asked, name)
        if moment is not None and moment.tzinfo is None:
            raise SilenceError(f"{name}: has no time zone; write it as 2026-06-01T12:00:00Z")
    starts_at, ends_at = asked.starts_at or now, asked.ends_at
    if asked.seconds is not None:
        if ends_at is not None:
            raise SilenceError("seconds: give either this or ends_at")
        try:
            ends_at = starts_at + timedelta(seconds=asked.seconds)
        except (OverflowError, ValueError):
            raise SilenceError(f"seconds: {asked.seconds!r} is no length of time") from None
    if ends_at is None:
        if asked.hours is None:
            raise SilenceError("ends_at: missing; a silence without hours of the week has an end")
        return starts_at, None
    if ends_at <= starts_at:
        raise SilenceError("ends_at: must be after starts_at")
    if ends_at <= now:
        raise SilenceError("ends_at: is over already")
    return starts_at, ends_at


def expired(silence: SilenceEvent, now: datetime) -> SilenceEvent:
    """Return the silence with its end set to now. An expired silence is returned unchanged."""
    if silence.ends_at is not None and silence.ends_at <= now:
        return silence
    return replace(silence, ends_at=now, starts_at=min(silence.starts_at, now))


def state_of(silence: SilenceEvent, now: datetime) -> str:
    """Return `pending`, `active` or `expired`."""
    if silence.ends_at is not None and silence.ends_at <= now:
        return "expired"
    return "pending" if silence.starts_at > now else "active"


async def send_silence(producer: Producer, silence: SilenceEvent) -> None:
    """Publish a silence. Return once Kafka has acknowledged it. Raises BrokerUnavailable."""
    await producer.send(SILENCES, silence.silence_id.encode(), msgspec.json.encode(silence))
