"""How the consumer fetches: in a thread, batched topics' records as they are parsed, and no note of what was read."""

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
"""How long the broker may hold back the answer to a fetch when there is nothing new."""


class ReadOffsets(defaultdict[TP, int | None]):
    """Faust's note of what it has read to, below which it drops what it fetches.

    A message that was under way during a seek sets the note back to where it was before, and then what the seek
    asked for is dropped. Batched topics keep none: their agents skip what they have applied.
    """

    def __init__(self, batched: dict[str, Position]) -> None:
        super().__init__(lambda: None)
        self._batched = batched

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        if tp.topic not in self._batched:
            super().__setitem__(tp, offset)

    def update(self, offsets: Any) -> None:  # type: ignore[override]
        """Note several."""
        for tp, offset in offsets.items():
            self[tp] = offset


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread that fetches: batched topics' records stay as they are parsed."""

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = self.transport.isolation_level  # Faust asks for it in transactions of its own only
        return consumer

    def end(self, tp: TP) -> int | None:
        """Where what can be read of a partition ends, as of the last fetch; None before there was one."""
        return end_of(self._ensure_consumer(), TopicPartition(tp.topic, tp.partition))

    def reached(self, tp: TP) -> int | None:
        """The next offset that a partition is read from; None where that is not known, or the partition not ours.

        It moves only while records are asked for, and when a log no longer has it.
        """
        return reached(self._ensure_consumer(), TopicPartition(tp.topic, tp.partition))

    async def on_start(self) -> None:
        await super().on_start()
        batched = self.transport.positions
        # Faust has it wait 1.5 s for something new: what is asked for meanwhile (an offset, a seek, partitions that go
        # on) waits behind it on the same connection, so that each recovery took seconds of doing nothing.
        self._consumer._fetcher._fetch_max_wait_ms = _FETCH_WAIT_MS
        self._consumer._fetcher._records = FetchResults(lambda topic: topic in batched)  # before there is an assignment
