"""Confluent's wire format: a zero byte, the schema's id, for Protobuf the indexes of the message, and the payload.

Source: docs.confluent.io, "Wire format" of the Schema Registry's serializers.
"""

from __future__ import annotations

MAGIC = 0
HEADER_BYTES = 5
LONGEST_VARINT = 10
MOST_INDEXES = 100
"""Message types nested in each other. A value with more is not in the wire format."""

NO_HEADER = "no Confluent wire format: it must begin with a zero byte and the schema's id"


class FramingError(ValueError):
    """A value is not in the wire format."""


def schema_id(value: bytes) -> int | None:
    """Return the schema's id in a value's header; None without a header."""
    if len(value) < HEADER_BYTES or value[0] != MAGIC:
        return None
    return int.from_bytes(value[1:HEADER_BYTES], "big")


def message_indexes(value: bytes) -> tuple[tuple[int, ...], int]:
    """Return the indexes of a value's Protobuf message, and the first byte of its payload.

    The first index counts the file's messages, each further one those nested within. A single zero stands for the
    file's first message. Numbers are zigzag varints. Raises FramingError.
    """
    count, at = _varint(value, HEADER_BYTES)
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
