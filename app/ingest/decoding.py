"""Decoding of record batches: together where all records are sound, one by one where some are not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from app.core.reference.layout import Floats
from topics.events import to_epoch

T = TypeVar("T")

UNBELIEVABLE = "`timestamp` is outside 1970 to 2100: epoch timestamps are in seconds, not milliseconds"

UNREGISTERED = "unknown `model_version`: "
"""First words of the reason for a record whose model version is not registered."""

AHEAD = "`timestamp` is ahead of the broker's clock by more than %g s: is the producer's clock right?"

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Errors that decoding raises for malformed records. JSON that is nested too deeply is a RecursionError."""

STRAY = (ValueError, TypeError, ArithmeticError, LookupError)
"""Errors caused by an event of valid types but impossible content, such as numbers out of range."""

_timestamp = attrgetter("timestamp")
_OPENING, _CLOSING = b"{}"


class Record(Protocol):
    """Fields of a Kafka record that are read. The batch has the record's partition."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Identified(Protocol):
    """An event about a prediction."""

    @property
    def prediction_id(self) -> str: ...


class Rejected(msgspec.Struct, frozen=True):
    """A record that is put into the dead letters, and the reason, which names the field.

    `readable`: the record itself is sound. For example, it is late, or its model is not registered.
    """

    record: Record
    reason: str
    readable: bool = False


def decode(record: Record, decoder: msgspec.json.Decoder[T]) -> T | Rejected:
    """Return the event of a record; or the record as rejected, with the reason."""
    if record.value is None:
        return Rejected(record, "the record has no value")
    try:
        return decoder.decode(record.value)
    except UNREADABLE as error:
        return Rejected(record, reason_of(error))


class LinesDecoder(Generic[T]):
    """Decoder of many JSON documents of one type in one call. `single` decodes one."""

    def __init__(self, kind: type[T]) -> None:
        self.single = msgspec.json.Decoder(kind)

    def decode(self, documents: Sequence[bytes | msgspec.Raw]) -> list[T] | None:
        """Return all decoded documents.

        Return None where a document is not sound, or may not be: it has a line break, or is not one object.
        """
        joined = b"\n".join(documents)
        if not _is_object_a_line(joined, documents):
            return None
        try:
            found = self.single.decode_lines(joined)
        except UNREADABLE:
            return None
        return found if len(found) == len(documents) else None

    def decode_values(self, values: Sequence[msgspec.Raw]) -> list[T] | None:
        """Return all decoded values. Each must be one JSON value already.

        Return None where a value is not sound, or may contain line breaks.
        """
        try:
            found = self.single.decode_lines(b"\n".join(values))
        except UNREADABLE:
            return None
        return found if len(found) == len(values) else None

    def decode_one(self, document: bytes | msgspec.Raw) -> T | str:
        """Return one decoded document, or the reason why it cannot be decoded."""
        try:
            return self.single.decode(document)
        except UNREADABLE as error:
            return reason_of(error)


def _is_object_a_line(joined: bytes, documents: Sequence[bytes | msgspec.Raw]) -> bool:
    """Return whether every document has its own line, and all lines end between braces.

    There, a line can only end outside of every value. So each document contains only whole values, at least one.
    """
    n = len(documents)
    if n < 2:
        return b"\n" not in joined
    lengths = np.fromiter(map(len, documents), np.int64, n)  # faster than searching the line ends
    if not lengths.all() or joined.count(b"\n") != n - 1:
        return False
    text, at = np.frombuffer(joined, np.uint8), np.cumsum(lengths[:-1] + 1) - 1
    return bool((text[at - 1] == _CLOSING).all() and (text[at + 1] == _OPENING).all())


def reason_of(error: Exception) -> str:
    """Return why decoding failed, in msgspec's words with the field's name as in the record."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    words = str(error).replace("`$.", "`").replace(" - at `$`", "")
    return f"malformed JSON: {words}" if type(error) is msgspec.DecodeError else words


def ids_of(keys: Sequence[bytes]) -> NDArray[np.uint64]:
    """Return the 128-bit hash of each id as an array of shape n x 2 (XXH3, stable over machines and versions)."""
    digest = xxhash.xxh3_128_digest
    joined = b"".join(map(digest, keys))
    return np.frombuffer(joined, ">u8").reshape(-1, 2).astype(np.uint64)


def keys_of(ids: Sequence[bytes]) -> list[bytes]:
    """Return the hash of each id as 16 bytes, the key of waiting feedback in the join."""
    keys: list[bytes] = np.ascontiguousarray(ids_of(ids)).view("V16").ravel().tolist()
    return keys


def keys_fit(records: Sequence[Record], events: Sequence[Identified]) -> bool:
    """Return whether each record's key is its event's prediction_id."""
    keys = [record.key for record in records if record.key is not None]
    joined = b"\n".join(keys)
    if len(keys) < len(records) or joined.count(b"\n") >= len(keys):  # a line end in a key looks like a separator
        return False
    return joined == "\n".join([event.prediction_id for event in events]).encode()


def seconds_of(timestamps: Sequence[datetime | float | None]) -> Floats:
    """Return epoch seconds of many timestamps, NaN for None."""
    if datetime in set(map(type, timestamps)):
        timestamps = [to_epoch(t) if isinstance(t, datetime) else t for t in timestamps]
    return np.array(timestamps, np.float64)


def broker_times(records: Sequence[Record]) -> NDArray[np.int64]:
    """Return when the broker received each record, in microseconds.

    A record without a time gets a time far in the future.
    """
    milliseconds = np.fromiter(map(_timestamp, records), np.int64, len(records))
    return np.where(milliseconds > 0, milliseconds * 1000, 1 << 62)


def unregistered(model: str, version: str) -> str:
    """Return the reason for a record whose model version is not registered."""
    return f"{UNREGISTERED}{model} {version} is not registered"


def is_ahead(record: Record, seconds: float, ahead: float) -> bool:
    """Return whether a time is more than `ahead` seconds after the broker received the record."""
    return bool(seconds * 1e6 - broker_times([record])[0] > ahead * 1e6)


def wrong_key(key: bytes | None, prediction_id: str) -> str:
    """Return why a record's key is not the one that its prediction_id requires; empty where the key is right."""
    if key is None:
        return "the record has no key: it must be the prediction_id"
    if key != prediction_id.encode():
        return "the record's key is not its prediction_id"
    return ""
