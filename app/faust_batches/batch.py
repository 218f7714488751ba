"""Input of an agent: a batch of one partition's records in one message, or a tick."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from faust.types import TP, ConsumerMessage

from topics.registry import Topic

Position = Callable[[TP], int]
"""Function that returns the offset to read a partition from, by the state that is kept for the partition."""


@dataclass(frozen=True, slots=True)
class Log:
    """Log of a partition: its first offset, its end, and its committed offset at the last recovery.

    With `read_committed` the end is before the first record of an open transaction.
    """

    begin: int
    end: int
    committed: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one partition of a topic. A batch without records is a tick.

    The records are all that can be read from offset `since` to before `following`. Missing offsets in between are not
    in the log, or are not to be read (markers of transactions, aborted records). `caught_up`: whether the log ends
    there, which is known when the batch is handled.
    """

    topic: Topic
    partition: int
    records: Sequence[Any]
    since: int = 0
    following: int = 0
    caught_up: bool = False


Handler = Callable[[Batch], Awaitable[None]]
"""Function that takes one batch and returns once the batch is applied."""


def tick(topic: Topic, tp: TP, since: int, following: int, generation: int) -> ConsumerMessage:
    """Return a message without records: nothing is to be read from offset `since` to before `following`."""
    batch = Batch(topic, tp.partition, [], since, following)
    return ConsumerMessage(
        tp.topic, tp.partition, following - 1, time.time(), 0, [], None, batch, None, 0, 0, tp,
        generation_id=generation,
    )  # fmt: skip
