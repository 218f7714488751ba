"""Consecutive batches of one partition that wait in an agent's buffer, taken together as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from faust.types import ConsumerMessage
from mode.utils.queues import ThrowableQueue

from app.faust_batches.batch import Batch


def take_together(message: ConsumerMessage, waiting: ThrowableQueue[Any], most: int) -> list[ConsumerMessage]:
    """Take from an agent's buffer the messages that go on where this one ends. Nothing is waited for.

    A tick is taken alone. `waiting`: the agent's buffer, in order. `most`: the largest number of records in all.
    Return the messages, this one first.
    """
    found = [message]
    size = len(message.value.records)
    while size and waiting.qsize() and not waiting._errors:
        following = waiting._queue[0].message
        size += len(following.value.records)
        if size > most or not _goes_on(found[-1], following):
            break
        waiting.get_nowait()
        found.append(following)
    return found


def as_one(messages: Sequence[ConsumerMessage]) -> Batch:
    """Return the batch of consecutive messages of one partition."""
    batches: list[Batch] = [message.value for message in messages]
    if len(batches) == 1:
        return batches[0]
    records = [record for batch in batches for record in batch.records]
    return replace(batches[0], records=records, following=batches[-1].following)


def _goes_on(before: ConsumerMessage, after: ConsumerMessage) -> bool:
    """Return whether a batch begins where the one before it ends, in the same partition and generation."""
    return (
        after.tp == before.tp
        and after.generation_id == before.generation_id
        and len(after.value.records) > 0
        and after.value.since == before.value.following
    )
