"""Sending of both streams of a replay to their topics, with a rate, progress and closing heartbeats."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np

from app.core.config.monitoring import Windows
from app.replay.encode import Encoded
from app.replay.merge import Source, merged
from topics.events import Heartbeat
from topics.registry import FEEDBACK, PREDICTIONS

HEARTBEAT_HEADER = {"driftline": b"heartbeat"}


@dataclass(frozen=True, slots=True)
class Sent:
    """Progress of a replay: the number of sent events, and the newest event time (None where no event had one).

    Events count when they are acknowledged or on their way.
    """

    predictions: int
    feedback: int
    event_time: float | None
    seconds: float

    @property
    def rate(self) -> float:
        """Return the events per second."""
        return (self.predictions + self.feedback) / self.seconds if self.seconds > 0 else 0.0


class EventSender(Protocol):
    """Sender of encoded events to the topics of an installation: to Kafka (`ReplaySender`), or to the API."""

    async def partitions(self, topic: str) -> int:
        """Return how many partitions the topic has."""

    async def send(self, topic: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Send records, in order within a partition."""

    async def send_to_all(self, topic: str, value: bytes, headers: Mapping[str, bytes]) -> None:
        """Send one record to every partition, after everything that was sent before."""

    async def flush(self) -> None:
        """Wait until everything is acknowledged."""


Progress = Callable[[Sent], None]


async def replay(
    sender: EventSender,
    predictions: Iterator[Encoded],
    feedback: Iterator[Encoded],
    *,
    prefix: str,
    rate: float | None = None,
    progress: Progress = lambda _: None,
) -> Sent:
    """Send both streams in event-time order, at most `rate` events a second.

    Return once all events are acknowledged.
    """
    topics: dict[Source, str] = {"predictions": PREDICTIONS.full_name(prefix), "feedback": FEEDBACK.full_name(prefix)}
    for topic in topics.values():
        await sender.partitions(topic)
    counts: dict[Source, int] = dict.fromkeys(topics, 0)
    newest = -np.inf
    started = time.monotonic()

    def sent() -> Sent:
        event_time = float(newest) if np.isfinite(newest) else None
        return Sent(counts["predictions"], counts["feedback"], event_time, time.monotonic() - started)

    for source, due in merged(predictions, feedback):
        for slab in _slabs(due, rate):
            await sender.send(topics[source], slab.keys, slab.values)
            counts[source] += len(slab)
            newest = max(newest, slab.times.max(initial=-np.inf, where=np.isfinite(slab.times)))
            progress(sent())
            if rate is not None:
                await asyncio.sleep(max(0.0, started + sum(counts.values()) / rate - time.monotonic()))
    await sender.flush()
    return sent()


async def close_windows(
    sender: EventSender, model: str, version: str, windows: Windows, event_time: float, *, prefix: str
) -> float:
    """Send every partition a heartbeat with a later time, so that the last panes close; return that time.

    The time is at most half of `windows.ahead` after now, unless `event_time` itself is later.
    """
    moved_on = event_time + windows.pane * windows.panes + windows.allowance
    moved_on = max(event_time, min(moved_on, time.time() + windows.ahead / 2))
    value = msgspec.json.encode(Heartbeat(model=model, model_version=version, timestamp=moved_on))
    await sender.send_to_all(PREDICTIONS.full_name(prefix), value, HEARTBEAT_HEADER)
    await sender.flush()
    return moved_on


def _slabs(due: Encoded, rate: float | None) -> Iterator[Encoded]:
    """Yield pieces for a fifth of a second at the given rate; without a rate, everything at once."""
    size = len(due) if rate is None else max(1, int(rate / 5))
    while len(due):
        slab, due = due.cut(size)
        yield slab
