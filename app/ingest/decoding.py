"""Decoding runs of records: all at once when all are sound, one by one when some are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

T = TypeVar("T")

EARLIEST, LATEST = 0.0, 4_102_444_800.0
"""Timestamps from 1970 to 2100, in seconds, are believed."""


class Record(Protocol):
    """What is read of a Kafka record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Rejected(msgspec.Struct, frozen=True):
    """A record that cannot be read, and why; the reason names the field."""

    record: Record
    reason: str


class LinesDecoder(Generic[T]):
    """Decodes many JSON documents of one type in one call."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def decode(self, documents: Sequence[bytes | msgspec.Raw]) -> list[T] | None:
        """All of them, or None when any is not sound (or two stand in one)."""
        try:
            found = self._decoder.decode_lines(b"\n".join(documents))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return found if len(found) == len(documents) else None

    def decode_one(self, document: bytes | msgspec.Raw) -> T | str:
        """One of them, or the reason why not."""
        try:
            return self._decoder.decode(document)
        except msgspec.MsgspecError as error:
            return reason_of(error)
        except UnicodeDecodeError:
            return "not UTF-8"


def reason_of(error: Exception) -> str:
    """msgspec's words, with the field as the user knows it."""
    words = str(error).replace("`$.", "`").replace(" - at `$`", "")
    return f"malformed JSON: {words}" if type(error) is msgspec.DecodeError else words


def ids_of(keys: Sequence[bytes]) -> NDArray[np.uint64]:
    """The 128-bit hash of each id, n x 2 (XXH3, stable over machines and versions)."""
    digest = xxhash.xxh3_128_digest
    joined = b"".join(map(digest, keys))
    return np.frombuffer(joined, ">u8").reshape(-1, 2).astype(np.uint64)


def wrong_key(key: bytes | None, prediction_id: str) -> str:
    """Why a record's key is not the one that its prediction_id asks for; empty when it is."""
    if key is None:
        return "the record has no key: it must be the prediction_id"
    if key != prediction_id.encode():
        return "the record's key is not its prediction_id"
    return ""
