"""Dead letters as records of their topic: the original record, its origin, the reason, and what was sent again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec
import xxhash

from app.ingest.naming import Version, version_in
from topics.inferences import inference_of

OURS = "driftline-"
"""Prefix of the headers that a dead letter gets. All other headers are the record's own."""
RESENT = "driftline-resent"
"""Key and header of a record without a value, which lists the offsets of dead letters that were sent again."""

Headers = Sequence[tuple[str, bytes | None]]


class LetterRecord(Protocol):
    """Fields of a record of `dead-letters` that are read."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter.

    `offset`: the dead letter's own offset, which identifies it. `origin`: topic, partition and offset of the original
    record. `origin` is None for records that were never in a topic of Driftline (halves of inferences, of an earlier
    release). `at`: when the record was put into the dead letters. `timestamp`: the original record's, in milliseconds;
    None for dead letters of earlier releases.
    """

    offset: int
    at: datetime
    origin: tuple[str, int, int] | None
    reason: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int | None = None

    @property
    def kind(self) -> str:
        """Return the reason without its names and values."""
        return self.reason.partition(":")[0][:80]

    @property
    def counted(self) -> bool:
        """Return whether the stream has counted the record. Then only the history could not store the record."""
        return self.kind == "history"

    @property
    def topic(self) -> str:
        """Return the full name of the topic of origin; empty where there is none."""
        return "" if self.origin is None else self.origin[0]

    @property
    def version(self) -> Version | None:
        """Return the model version that the record names, even if other fields are wrong.

        Half an inference names the version in its headers.
        """
        return version_in(self.value) or _version_of_inference(self.headers)

    @property
    def identity(self) -> tuple[object, ...]:
        """Return a key that is the same for each dead letter of one record.

        A worker that is killed may put a record into the dead letters twice.
        """
        if self.origin is None:
            return ("", self.offset)
        parts = (self.key or b"", self.value or b"")
        return (*self.origin, self.counted, *map(xxhash.xxh3_64_intdigest, parts))


def letter_of(record: LetterRecord) -> Letter | None:
    """Return the dead letter in a record.

    Return None for a record that lists what was sent again.
    """
    given = {name: value for name, value in record.headers if name.startswith(OURS) and value is not None}
    if RESENT in given:
        return None
    reason = given.get(f"{OURS}reason")
    return Letter(
        offset=record.offset,
        at=datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC),
        origin=_origin(given),
        reason="it has no reason: it is no dead letter of Driftline's" if reason is None else _text(reason),
        key=record.key,
        value=record.value,
        headers=tuple((name, value) for name, value in record.headers if not name.startswith(OURS)),
        timestamp=_timestamp(given),
    )


def resent_in(record: LetterRecord) -> list[int]:
    """Return the offsets of the dead letters that a record lists as sent again."""
    for name, value in record.headers:
        if name == RESENT and value is not None:
            try:
                return msgspec.json.decode(value, type=list[int])
            except (msgspec.MsgspecError, UnicodeDecodeError):
                return []
    return []


def resent_header(offsets: Sequence[int]) -> tuple[str, bytes]:
    """Return the header that lists these dead letters as sent again."""
    return (RESENT, msgspec.json.encode(sorted(offsets)))


def _origin(given: dict[str, bytes]) -> tuple[str, int, int] | None:
    try:
        return (
            _text(given[f"{OURS}topic"]), int(given[f"{OURS}partition"]), int(given[f"{OURS}offset"]),
        )  # fmt: skip
    except (KeyError, ValueError):
        return None


def _timestamp(given: dict[str, bytes]) -> int | None:
    try:
        return int(given[f"{OURS}timestamp"])
    except (KeyError, ValueError):
        return None


def _version_of_inference(headers: Headers) -> Version | None:
    try:
        inference = inference_of(headers)
    except (msgspec.ValidationError, UnicodeDecodeError):
        return None
    model = inference.model or inference.service
    return None if model is None or inference.version is None else (model, inference.version)


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
