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
    """Raised for an unknown event name. The message lists the known ones."""


def events_of(topic: Topic) -> dict[str, type[Event]]:
    """Return the events of a topic by name; none where the topic has records as they came."""
    found = {name: getattr(events, name, None) for name in topic.event.split(" | ")}
    return {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, Event)}


def travelling() -> dict[str, type[Event]]:
    """Return every event of any topic by name."""
    return {name: kind for topic in TOPICS for name, kind in events_of(topic).items()}


def components(kinds: list[type], at: str) -> dict[str, Schema]:
    """Return the schemas of types, and of all types that they refer to, by name.

    `at` is the template of references, with `{name}` in it.
    """
    _, found = msgspec.json.schema_components(kinds, schema_hook=_anything, ref_template=at)
    return {name: found[name] for name in sorted(found)}


def schema_of(name: str) -> Schema:
    """Return the complete JSON Schema of one event. Raises UnknownEvent."""
    kinds = travelling()
    if name not in kinds:
        raise UnknownEvent(f"there is no event {name!r}: {', '.join(sorted(kinds))}")
    found = components([kinds[name]], "#/$defs/{name}")
    return {"$schema": DRAFT, **found.pop(name), **({"$defs": found} if found else {})}


def _anything(_: type) -> Schema:
    """Return a schema for any JSON, such as evidence. For a Raw field, the event's description has the type."""
    return {"description": "Any JSON."}
