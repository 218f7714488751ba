"""Dead letters as they lie in their topic: what was set aside, where it came from, why, and what was sent again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec
import xxhash

from app.ingest.naming import Version, version_in
from topics.inferences import inference_of

OURS = "driftline-"
"""The headers that a dead letter is given begin so; the others are the record's own."""
RESENT = "driftline-resent"
"""The key and the header of a record without a value: the offsets of dead letters that have been sent again."""

Headers = Sequence[tuple[str, bytes | None]]


class LetterRecord(Protocol):
    """What is read of a record of `dead-letters`."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter. `offset`: its own, which names it. `origin`: topic, partition and offset of the record.

    `origin` is None of what never was in a topic of ours (halves of inferences, of an earlier release). `at`: when it
    was set aside.
    """

    offset: int
    at: datetime
    origin: tuple[str, int, int] | None
    reason: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def kind(self) -> str:
        """The reason without the names and values in it."""
        return self.reason.partition(":")[0][:80]

    @property
    def counted(self) -> bool:
        """Whether the stream has counted the record: the history alone could not hold it."""
        return self.kind == "history"

    @property
    def topic(self) -> str:
        """The whole name of the topic that it came from; empty where it came from none."""
        return "" if self.origin is None else self.origin[0]

    @property
    def version(self) -> Version | None:
        """The model version that it names, whatever is wrong with it; of half an inference its headers name it."""
        return version_in(self.value) or _version_of_inference(self.headers)

    @property
    def identity(self) -> tuple[object, ...]:
        """The same for each letter of one record: a worker that is killed may set a record aside twice."""
        if self.origin is None:
            return ("", self.offset)
        parts = (self.key or b"", self.value or b"")
        return (*self.origin, self.counted, *map(xxhash.xxh3_64_intdigest, parts))


def letter_of(record: LetterRecord) -> Letter | None:
    """The dead letter in a record; None for one that says what was sent again, or that is none of ours."""
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
    )


def resent_in(record: LetterRecord) -> list[int]:
    """The offsets of the dead letters that a record says were sent again."""
    for name, value in record.headers:
        if name == RESENT and value is not None:
            try:
                return msgspec.json.decode(value, type=list[int])
            except (msgspec.MsgspecError, UnicodeDecodeError):
                return []
    return []


def resent_header(offsets: Sequence[int]) -> tuple[str, bytes]:
    """The header that says that these dead letters were sent again."""
    return (RESENT, msgspec.json.encode(sorted(offsets)))


def _origin(given: dict[str, bytes]) -> tuple[str, int, int] | None:
    try:
        return (
            _text(given[f"{OURS}topic"]), int(given[f"{OURS}partition"]), int(given[f"{OURS}offset"]),
        )  # fmt: skip
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
