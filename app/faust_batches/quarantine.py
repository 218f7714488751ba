"""Quarantine of a record that ends the worker repeatedly: the record is set aside, and the other records are handled.

An unexpected error ends the process, and its batch is replayed. When overlapping batches have failed three times, their
common records are handled one at a time. The record that then fails is given to its agent as an unreadable record. So
it ends in the dead letters, with its bytes and key. The count is kept in a file, because it has to outlive the process.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.errors import KafkaError
from faust.types import TP

log = logging.getLogger(__name__)

FATAL_TIMES = 3
"""Failures after which a record, and not an accident, is taken as the cause."""

MOST_CONVICTED = 1000
"""Number of remembered quarantined records of one partition; older ones were passed long ago."""

ELSEWHERE = (KafkaError, OSError, MemoryError, TimeoutError)
"""Errors that do not depend on a record."""


@dataclass(slots=True)
class Quarantined:
    """Substitute for a record that ends the worker, with all of it except a readable value."""

    offset: int
    timestamp: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes]]
    original: Any
    reason: str
    value: bytes | None = b"quarantined"

    @classmethod
    def of(cls, record: Any, reason: str) -> Quarantined:
        """Return the substitute for a record."""
        return cls(record.offset, record.timestamp, record.key, record.headers, record, reason)


class Suspect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Failures of a partition: the common offsets of all failing batches, their number, and the quarantined records."""

    first: int
    last: int
    times: int
    convicted: dict[int, str] = {}

    def alone(self, offset: int) -> bool:
        """Return whether the record at an offset is to be handled alone, to see whether it causes the failures."""
        return self.times >= FATAL_TIMES and self.first <= offset <= self.last


class Quarantine:
    """Failures that a worker remembers. Raises nothing: a file that cannot be read or written is logged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._suspects = _read(path)

    def most_together(self, tp: TP, wanted: int) -> int:
        """Return up to how many records batches of a partition are handled as one: each alone after a failure.

        Short batches narrow down its cause.
        """
        return 0 if _name(tp) in self._suspects else wanted

    def parts(self, tp: TP, run: Sequence[Any]) -> Iterator[list[Any]]:
        """Yield the parts of a batch to handle one after another: the whole batch, unless it has suspect records."""
        suspect = self._suspects.get(_name(tp))
        if suspect is None:
            yield list(run)
            return
        part: list[Any] = []
        for record in run:
            if record.offset in suspect.convicted:
                part.append(Quarantined.of(record, suspect.convicted[record.offset]))
                continue
            if not suspect.alone(record.offset):
                part.append(record)
                continue
            if part:
                yield part
            yield [record]
            part = []
        if part or not run:
            yield part

    def failed(self, tp: TP, part: Sequence[Any], error: BaseException) -> None:
        """Note that an agent failed on a part of a batch."""
        offsets = [record.offset for record in part if not isinstance(record, Quarantined)]
        if not offsets or isinstance(error, ELSEWHERE):
            return
        name, first, last = _name(tp), offsets[0], offsets[-1]
        known = self._suspects.get(name) or Suspect(first, last, 0)
        suspect = Suspect(max(first, known.first), min(last, known.last), known.times + 1, known.convicted)
        if suspect.first > suspect.last or not known.times:  # nothing in common: another failure
            suspect = Suspect(first, last, 1, known.convicted)
        if suspect.first == suspect.last and suspect.times >= FATAL_TIMES:
            reason = f"quarantined: it ended the worker {suspect.times} times, with {type(error).__name__}"
            log.critical("%s: the record at offset %d goes to the dead letters; %s", name, first, reason)
            reason += f": {error}"  # only kept with the record itself, whose value may be in it
            newest = dict(sorted(suspect.convicted.items())[-MOST_CONVICTED + 1 :])
            suspect = Suspect(first, last, 0, {**newest, first: reason})
        self._suspects[name] = suspect
        _write(self._path, self._suspects)


def _name(tp: TP) -> str:
    return f"{tp.topic}/{tp.partition}"


def _read(path: Path) -> dict[str, Suspect]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Suspect])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("%s is left aside: %s", path, error)
        return {}


def _write(path: Path, suspects: dict[str, Suspect]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(suspects))
        new.replace(path)
    except OSError as error:
        log.warning("what failed could not be noted in %s: %s", path, error)
