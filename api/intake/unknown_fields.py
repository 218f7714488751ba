"""Unknown fields of events: left out, since a newer client may send them, and reported."""

from __future__ import annotations

import functools
from typing import TypeVar, cast

import msgspec

from app.core.config.close_names import did_you_mean
from app.ingest.unknown_fields import known_names
from app.telemetry.printable import one_line

T = TypeVar("T")

MOST_NAMES, LONGEST_NAME = 5, 60
"""Fields that one response reports, and characters of a name that it shows."""

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


@functools.cache
def strict_type(kind: type[T]) -> type[T]:
    """Return a subtype of a struct, whose decoding raises for a field that the struct does not have."""
    strict = msgspec.defstruct(kind.__name__, [], bases=(kind,), frozen=True, forbid_unknown_fields=True)
    return cast("type[T]", strict)


def is_unknown_field(error: Exception) -> bool:
    """Return whether decoding a strict type failed because of a field that it does not have."""
    return isinstance(error, msgspec.ValidationError) and "contains unknown field" in str(error)


def names_in(document: bytes | msgspec.Raw, kind: type) -> list[str]:
    """Return the names in an event that its struct does not have; none where the event is no JSON object."""
    known = known_names(kind)
    try:
        return [name for name in _object.decode(document) if name not in known]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []


class UnknownFields:
    """Unknown fields of a request's events: how many events have each, and the first."""

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._known = frozenset(known_names(kind))
        self._found: dict[str, list[int]] = {}

    def without(self, index: int, event: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
        """Return the event at a position without its unknown fields, which are collected."""
        for name in event.keys() - self._known:
            if name in self._found:
                self._found[name][1] += 1
            elif len(self._found) <= MOST_NAMES:
                self._found[name] = [index, 1]
        return {name: value for name, value in event.items() if name in self._known}

    def warnings(self) -> tuple[str, ...]:
        """Return a line for each unknown field, of no more than MOST_NAMES."""
        lines = [
            f"{field_line(name, self._kind)} ({f'{n:,} events, the first is' if n > 1 else 'event'} {first})"
            for name, (first, n) in sorted(self._found.items(), key=lambda one: (one[1][0], one[0]))
        ]
        return (*lines[:MOST_NAMES], "there are further unknown fields") if len(lines) > MOST_NAMES else (*lines,)


def field_line(name: str, kind: type) -> str:
    """Return the line about an unknown field."""
    shown = one_line(name[:LONGEST_NAME])
    return f"{shown}: an event has no such field, so it is left out{did_you_mean(name, known_names(kind), before='; ')}"


def decode_event(
    document: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T], index: int, unknown: UnknownFields
) -> T:
    """Return the event at a position; `unknown` collects. Raises msgspec's errors, UnicodeDecodeError."""
    strict: msgspec.json.Decoder[T] = _strict_decoder(decoder.type)  # type: ignore[arg-type]  # a type can be hashed
    try:
        return strict.decode(document)
    except msgspec.ValidationError as error:
        if not is_unknown_field(error):
            raise
    return strict.decode(msgspec.json.encode(unknown.without(index, _object.decode(document))))


def decode_list(body: bytes, decoder: msgspec.json.Decoder[T], unknown: UnknownFields) -> list[T]:
    """Return the events of a list; `unknown` collects. Raises msgspec's errors, UnicodeDecodeError."""
    strict: msgspec.json.Decoder[list[T]] = _strict_list_decoder(decoder.type)  # type: ignore[arg-type]
    try:
        return strict.decode(body)
    except msgspec.ValidationError as error:
        if not is_unknown_field(error):
            raise
    events = [unknown.without(index, event) for index, event in enumerate(_objects.decode(body))]
    return strict.decode(msgspec.json.encode(events))


@functools.cache
def _strict_decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(strict_type(kind))  # type: ignore[arg-type]


@functools.cache
def _strict_list_decoder(kind: type[T]) -> msgspec.json.Decoder[list[T]]:
    return msgspec.json.Decoder(list[strict_type(kind)])  # type: ignore[arg-type,misc]  # a type of this moment
