"""Thread in which the consumer fetches: records of batched topics as parsed, without a note of what was read."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from app.faust_batches.batch import Position
from app.kafka.consumer import end_of, reached
from app.kafka.parsed_fetch import FetchResults

_FETCH_WAIT_MS = 100
"""Milliseconds for which the broker may hold back the response to a fetch when there is nothing new."""


class ReadOffsets(defaultdict[TP, int | None]):
    """Faust's note of its read offsets, below which it drops what it fetches.

    A message under way during a seek sets the note back to its value before. Then records that the seek requested are
    dropped. Batched topics keep no note: their agents skip what they have applied.
    """

    def __init__(self, batched: dict[str, Position]) -> None:
        super().__init__(lambda: None)
        self._batched = batched

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        if tp.topic not in self._batched:
            super().__setitem__(tp, offset)

    def update(self, offsets: Any) -> None:  # type: ignore[override]
        """Note several offsets."""
        for tp, offset in offsets.items():
            self[tp] = offset


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread that fetches. Records of batched topics are left as they are parsed."""

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = self.transport.isolation_level  # Faust sets it in transactions of its own only
        return consumer

    def end(self, tp: TP) -> int | None:
        """Return the end of the readable log of a partition, as of the last fetch; None before the first fetch."""
        return end_of(self._ensure_consumer(), TopicPartition(tp.topic, tp.partition))

    def reached(self, tp: TP) -> int | None:
        """Return the next offset to read of a partition; None where it is unknown, or the partition is not assigned.

        The offset moves only while records are requested, and when the log no longer has it.
        """
        return reached(self._ensure_consumer(), TopicPartition(tp.topic, tp.partition))

    async def on_start(self) -> None:
        await super().on_start()
        batched = self.transport.positions
        # Faust lets it wait 1.5 s for something new. Other requests (an offset, a seek, partitions that go
        # on) wait behind the fetch on the same connection, so that each recovery took seconds without work.
        self._consumer._fetcher._fetch_max_wait_ms = _FETCH_WAIT_MS
        self._consumer._fetcher._records = FetchResults(lambda topic: topic in batched)  # before there is an assignment
