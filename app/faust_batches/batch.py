"""What an agent takes: a batch of one partition's records in one message, or a tick."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from faust.types import TP, ConsumerMessage

from topics.registry import Topic

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
    """Consecutive records of one partition of a topic; without records it is a tick.

    They are all that can be read from offset `since` on to before `following`: what is missing in between is not in
    the log, or is not to be read (markers of transactions, what was aborted). `caught_up`: whether the log ends there,
    which is known when the batch is handled.
    """

    topic: Topic
    partition: int
    records: Sequence[Any]
    since: int = 0
    following: int = 0
    caught_up: bool = False


Handler = Callable[[Batch], Awaitable[None]]
"""Takes one batch. Returns once it is applied."""


def tick(topic: Topic, tp: TP, since: int, following: int, generation: int) -> ConsumerMessage:
    """A message without records: nothing is to be read from offset `since` on to before `following`."""
    batch = Batch(topic, tp.partition, [], since, following)
    return ConsumerMessage(
        tp.topic, tp.partition, following - 1, time.time(), 0, [], None, batch, None, 0, 0, tp,
        generation_id=generation,
    )  # fmt: skip
