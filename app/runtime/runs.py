"""What an agent is handed: a run of one partition's records in one message, or a tick."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import faust
from faust.types import TP, ConsumerMessage

Position = Callable[[TP], int]
"""The offset that a partition is to be read from, by the state that is held for it."""


@dataclass(frozen=True, slots=True)
class Log:
    """A partition's log: its first offset and its end, and what was committed of it at the last recovery."""

    begin: int
    end: int
    committed: int


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive records of one partition (none: a tick).

    `sought` is the offset asked for, if this was the first to be fetched since, or the one after the run before it
    in one fetch; what is missing between it and the first record is not in the log.
    """

    records: list[Any]
    sought: int | None = None


class Runs(faust.Schema):  # type: ignore[misc]
    """Hands an agent its run of records as it came from the consumer."""

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.value


def tick(tp: TP, offset: int, generation: int) -> ConsumerMessage:
    """A message without records; `offset`: the last that was fetched."""
    return ConsumerMessage(
        tp.topic, tp.partition, offset, time.time(), 0, [], None, Run([]), None, 0, 0, tp, generation_id=generation
    )
