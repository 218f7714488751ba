"""docs/reference/events.md: every topic, and the fields of every event."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import MISSING
from typing import get_type_hints

import msgspec

from topics import events
from topics.events import Event
from topics.registry import DEFAULT_PREFIX, TOPICS, Topic

HEAD = """# Topics and events

Every event is a JSON object, one a record. Fields that are optional may be left out. The same as schemas is in
[asyncapi.yaml](../asyncapi.yaml); what may change is in [wire-changes.md](../wire-changes.md).

## Topics

| topic | key | event | partitions | kept |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    shown = [kind for name in events.__all__ if _is_event(kind := getattr(events, name))]
    return HEAD + "\n".join(map(_topic, TOPICS)) + "\n" + "".join(_event(kind) for kind in shown)


def _is_event(kind: object) -> bool:
    return isinstance(kind, type) and kind is not Event and (issubclass(kind, Event) or dataclasses.is_dataclass(kind))


def _topic(topic: Topic) -> str:
    kept = "the newest of each key" if "compact" in topic.cleanup else f"{topic.retention_days:g} days"
    if topic.cleanup == "compact,delete":
        kept += f" until it is over, {topic.retention_days:g} days at most"
    number = "`partitions`" if topic.partitioned else "1"
    event = topic.event.replace(" | ", " or ")
    return f"| `{DEFAULT_PREFIX}{topic.name}` | {topic.key} | {event} | {number} | {kept} |"


def _event(kind: type) -> str:
    words = re.sub(r"\s*\n\s*", "\n", (kind.__doc__ or "").strip())
    rows = [f"| `{name}` | {_type(of)} | {'yes' if required else 'optional'} |" for name, of, required in _fields(kind)]
    if issubclass(kind, Event) and (tag := kind.__struct_config__.tag) is not None:
        rows.insert(0, f"| `{kind.__struct_config__.tag_field}` | `{tag}` | yes |")
    return f"\n## {kind.__name__}\n\n{words}\n\n| field | type | |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _fields(kind: type) -> list[tuple[str, object, bool]]:
    """Return the fields of an event or of a result that it carries: name, type, whether it is required."""
    if issubclass(kind, Event):
        return [(field.encode_name, field.type, field.required) for field in msgspec.structs.fields(kind)]
    assert dataclasses.is_dataclass(kind)
    types = get_type_hints(kind)
    return [
        (field.name, types[field.name], field.default is MISSING and field.default_factory is MISSING)
        for field in dataclasses.fields(kind)
    ]


def _type(kind: object) -> str:
    """Return a type in the words of JSON, from its schema."""
    schema = msgspec.json.schema_components([kind], schema_hook=lambda _: {"type": "anything"}, ref_template="{name}")[
        0
    ][0]
    return _words(schema)


def _words(schema: dict[str, object]) -> str:
    if "$ref" in schema:
        return f"[{schema['$ref']}](#{str(schema['$ref']).lower()})"
    for many in ("anyOf", "enum"):
        if many in schema:
            given: object = schema[many]
            assert isinstance(given, list)
            return " or ".join(_words(one) if isinstance(one, dict) else f"`{one}`" for one in given)
    kind = str(schema.get("type", "anything"))
    inner = schema.get("items", schema.get("additionalProperties"))
    if kind == "array":
        return f"array of {_words(inner)}" if isinstance(inner, dict) and inner else "array"
    if kind == "object":
        return f"object of {_words(inner)}" if isinstance(inner, dict) and inner else "object"
    return f"{kind} ({schema['format']})" if "format" in schema else kind
