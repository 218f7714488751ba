"""Decoding of Avro values to documents."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
from fastavro import parse_schema, schemaless_reader
from fastavro.schema import SchemaParseException, UnknownType

from app.sources.schema_registry import RegisteredSchema, SchemaUnknown

Reader = Callable[[bytes, int], Any]
"""Decodes a value from a byte on. Raises the errors of its format's library."""


_WHOLE = "DriftlineWhole"
"""The record that each schema is read as the one field of: its bytes are those of the field.

fastavro does not find the types that a union at the top refers to by name; those of a field it does. The name has no
namespace: names within the schema would take it.
"""


class TrailingBytes(ValueError):
    """A value is longer than its schema describes, so it was written with another one."""


def parsed(text: str, referred: list[tuple[str, RegisteredSchema]]) -> Any:
    """Parse a schema for `reader_of`, with the schemas that it refers to. Raises SchemaUnknown."""
    named: dict[str, Any] = {}
    try:
        for _, schema in referred:
            parse_schema(msgspec.json.decode(schema.schema), named)
        fields = [{"name": "value", "type": msgspec.json.decode(text)}]
        return parse_schema({"type": "record", "name": _WHOLE, "fields": fields}, named)
    except UnknownType as error:
        raise SchemaUnknown(f"the Avro schema refers to {error.name}, which is not there") from None
    except (SchemaParseException, msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise SchemaUnknown(f"the Avro schema cannot be read: {type(error).__name__}: {error}") from None


def read_file(path: Path) -> Any:
    """Parse the schema in a file (.avsc). Raises SchemaUnknown."""
    try:
        return parsed(path.read_text("utf-8"), [])
    except (OSError, UnicodeDecodeError) as error:
        raise SchemaUnknown(f"schema_file: cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def reader_of(written: Any, wanted: Any = None) -> Reader:
    """Return a reader of values `written` with one schema, which resolves them to `wanted` if that is given."""

    def read(value: bytes, start: int) -> Any:
        stream = BytesIO(value)
        stream.seek(start)
        found: Any = schemaless_reader(stream, written, wanted)
        if stream.tell() != len(value):
            raise TrailingBytes(f"{len(value) - stream.tell()} bytes follow what its schema describes")
        return found["value"]

    return read
