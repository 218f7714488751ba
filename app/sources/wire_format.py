"""Confluent's wire format: which schema a value was written with, named before the payload or in a header.

Before the payload: a zero byte, the schema's id, and for Protobuf the indexes of the message. In the record's header
`__value_schema_id`: the same, or a one and the schema's GUID in place of the id; the value is the payload alone.

Sources: docs.confluent.io, "Wire format" of the Schema Registry's serializers; `SchemaId` of confluent-kafka-python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

BY_ID, BY_GUID = 0, 1
ID_BYTES, GUID_BYTES = 4, 16
HEADER_BYTES = 1 + ID_BYTES
VALUE_SCHEMA = "__value_schema_id"
LONGEST_VARINT = 10
MOST_INDEXES = 100
"""Message types nested in each other. A value with more is not in the wire format."""

NO_HEADER = "no Confluent wire format: it must begin with a zero byte and the schema's id"


class FramingError(ValueError):
    """A value is not in the wire format."""


class WrittenWith(NamedTuple):
    """The schema that a value was written with, by its id or GUID, and for Protobuf the indexes of its message."""

    schema: int | UUID
    indexes: tuple[int, ...] = ()


def schema_id(value: bytes) -> int | None:
    """Return the schema's id before a value's payload; None without one."""
    if len(value) < HEADER_BYTES or value[0] != BY_ID:
        return None
    return int.from_bytes(value[1:HEADER_BYTES], "big")


def schema_header(headers: Sequence[tuple[str, bytes | None]]) -> bytes | None:
    """Return the record's header that names the schema of its value; None without one. The last one counts."""
    return next((value for name, value in reversed(headers) if name == VALUE_SCHEMA), None)


def in_value(value: bytes, *, indexed: bool) -> tuple[WrittenWith, int]:
    """Return the schema of a value that begins with it, and the payload's first byte. Raises FramingError."""
    number = schema_id(value)
    if number is None:
        raise FramingError(f"{NO_HEADER}{'; this is JSON' if value[:1] in (b'{', b'[') else ''}")
    indexes, start = message_indexes(value, HEADER_BYTES) if indexed else ((), HEADER_BYTES)
    return WrittenWith(number, indexes), start


def in_header(header: bytes, *, indexed: bool) -> WrittenWith:
    """Return the schema that a record's header names. Raises FramingError."""
    kind, length = header[:1], GUID_BYTES if header[:1] == bytes([BY_GUID]) else ID_BYTES
    name = header[1 : 1 + length]
    if kind not in (bytes([BY_ID]), bytes([BY_GUID])) or len(name) < length:
        raise FramingError(f"header {VALUE_SCHEMA}: must be a zero byte and the schema's id, or a one and its GUID")
    schema = UUID(bytes=name) if length == GUID_BYTES else int.from_bytes(name, "big")
    return WrittenWith(schema, message_indexes(header, 1 + length)[0] if indexed else ())


def message_indexes(value: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """Return the indexes of a Protobuf message from a byte on, and the byte that follows them.

    The first index counts the file's messages, each further one those nested within. A single zero stands for the
    file's first message. Numbers are zigzag varints. Raises FramingError.
    """
    count, at = _varint(value, at)
    if count == 0:
        return (0,), at
    if not 0 < count <= MOST_INDEXES:
        raise FramingError(f"{count} message indexes")
    found = []
    for _ in range(count):
        index, at = _varint(value, at)
        found.append(index)
    return tuple(found), at


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """Return a zigzag varint and the position after it."""
    number = 0
    for place, byte in enumerate(value[at : at + LONGEST_VARINT]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + place + 1
    raise FramingError("the message indexes are cut off")
