"""What an agent is handed: a run of one partition's records in one message, or a tick."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import faust
from faust.types import TP, ConsumerMessage

Position = Callable[[TP], int]
"""The offset that a partition is to be read from, by the state that is held for it."""


@dataclass(frozen=True, slots=True)
class Log:
    """A partition's log: its first offset and its end, and what was committed of it at the last recovery.

    With `read_committed` the end is before the first record of a transaction that is open.
    """

    begin: int
    end: int
    committed: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one partition (none: a tick).

    They are all that can be read from offset `since` on to before `following`: what is missing in between is not in
    the log, or is not to be read (markers of transactions, what was aborted).
    """

    records: list[Any]
    since: int = 0
    following: int = 0


class BatchReach(NamedTuple):
    """How far a run, or a tick, reads its partition: the next offset to read, and whether that is the log's end."""

    following: int
    at_end: bool


class Batches(faust.Schema):  # type: ignore[misc]
    """Hands an agent its run of records as it came from the consumer."""

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.value


def tick(tp: TP, since: int, following: int, generation: int) -> ConsumerMessage:
    """A message without records: nothing is to be read from offset `since` on to before `following`."""
    run = Batch([], since, following)
    return ConsumerMessage(
        tp.topic, tp.partition, following - 1, time.time(), 0, [], None, run, None, 0, 0, tp, generation_id=generation
    )
