"""Prefix that takes the place of a drained one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.kafka.errors import TopicError
from app.kafka.producer import Producer
from app.kafka.topics import partitions_of
from app.settings.settings import Settings
from topics.registry import PANES


@dataclass(frozen=True, slots=True)
class Successor:
    """Output for panes, alerts and feedback of a drained prefix. `partitions`: the number of its topics' partitions."""

    producer: Producer
    partitions: int


@asynccontextmanager
async def successor_of(settings: Settings) -> AsyncIterator[Successor | None]:
    """Connect to the prefix in `drain_to`. Yields None where nothing is drained. Raises TopicError."""
    if settings.drain_to is None:
        yield None
        return
    if settings.drain_to == settings.prefix:
        raise TopicError(f"drain_to is {settings.drain_to!r}, as is prefix; name the prefix that takes its place")
    there = settings.model_copy(update={"prefix": settings.drain_to})
    partitions = await partitions_of(there, PANES)
    if not partitions:
        raise TopicError(f"drain_to: there are no topics of {settings.drain_to!r}; run driftline copy first")
    async with Producer(there) as producer:
        yield Successor(producer, partitions)
