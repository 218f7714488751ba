"""JSON Schemas of the events, from their types."""

from __future__ import annotations

from typing import Any

import msgspec

from topics import events
from topics.events import Event
from topics.registry import TOPICS, Topic

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"


class UnknownEvent(ValueError):
    """No event has that name; says which there are."""


def events_of(topic: Topic) -> dict[str, type[Event]]:
    """The events that a topic carries, by name; none where it carries records as they came."""
    found = {name: getattr(events, name, None) for name in topic.event.split(" | ")}
    return {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, Event)}


def travelling() -> dict[str, type[Event]]:
    """Every event that some topic carries, by name."""
    return {name: kind for topic in TOPICS for name, kind in events_of(topic).items()}


def components(kinds: list[type], at: str) -> dict[str, Schema]:
    """Schemas of types and of all that they refer to, by name; references lead to `at`, with `{name}` in it."""
    _, found = msgspec.json.schema_components(kinds, schema_hook=_anything, ref_template=at)
    return {name: found[name] for name in sorted(found)}


def schema_of(name: str) -> Schema:
    """One event's JSON Schema, whole. Raises UnknownEvent."""
    kinds = travelling()
    if name not in kinds:
        raise UnknownEvent(f"there is no event {name!r}: {', '.join(sorted(kinds))}")
    found = components([kinds[name]], "#/$defs/{name}")
    return {"$schema": DRAFT, **found.pop(name), **({"$defs": found} if found else {})}


def _anything(_: type) -> Schema:
    """Evidence is any JSON; of what is Raw the event's description tells the type."""
    return {"description": "Any JSON."}
