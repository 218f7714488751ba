"""Fast sending of encoded events to Kafka: record batches for each partition, with bounded waiting for acks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from app.replay.encode import ReplayError
from topics.partition import partitions_of

MAX_WAITING = 64
"""Largest number of record batches that are not acknowledged. Beyond it, the sender waits for the oldest."""
_BATCH_BYTES = 256 * 1024


class ReplaySender:
    """Sender by key, with `acks=all` and idempotence. Use it as an async context manager: leaving waits for all acks.

    Records have the wall clock as Kafka timestamp, so that the broker's retention does not remove a replay of old
    events. `options` are the connection options of Kafka (`client_options`).
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._producer = AIOKafkaProducer(
            **options, acks="all", enable_idempotence=True,
            max_batch_size=_BATCH_BYTES, linger_ms=0,
        )  # fmt: skip
        self._waiting: deque[asyncio.Future[object]] = deque()
        self._partitions: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        try:
            await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.flush()
        finally:
            await self._producer.stop()

    async def partitions(self, topic: str) -> int:
        """Return how many partitions the topic has. Raises ReplayError where the topic does not exist."""
        if topic not in self._partitions:
            # list all topics: a request for one by name would create it where the broker creates topics automatically
            cluster = await self._producer.client.fetch_all_metadata()
            found = cluster.partitions_for_topic(topic)
            if not found:
                raise ReplayError(f"topic {topic} does not exist; start a worker first (driftline up)")
            self._partitions[topic] = len(found)
        return self._partitions[topic]

    async def send(self, topic: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Send records, each to its key's partition. The order within a partition is kept."""
        batches: dict[int, BatchBuilder] = {}
        for key, value, partition in zip(
            keys, values, partitions_of(keys, await self.partitions(topic)).tolist(), strict=True
        ):
            batch = batches.get(partition)
            if batch is None:
                batch = batches[partition] = self._producer.create_batch()
            if batch.append(key=key, value=value, timestamp=None) is None:
                await self._put(topic, partition, batch)
                batch = batches[partition] = self._producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None) is None:
                    raise ReplayError(f"event {key.decode()!r} is larger than {_BATCH_BYTES} bytes")
        for partition, batch in batches.items():
            await self._put(topic, partition, batch)

    async def send_to_all(self, topic: str, value: bytes, headers: Mapping[str, bytes]) -> None:
        """Send one record without a key to every partition, after everything that was sent before."""
        for partition in range(await self.partitions(topic)):
            batch = self._producer.create_batch()
            batch.append(key=None, value=value, timestamp=None, headers=list(headers.items()))
            await self._put(topic, partition, batch)

    async def flush(self) -> None:
        """Wait until the broker has acknowledged everything. Raises KafkaError."""
        while self._waiting:
            await self._waiting.popleft()

    async def _put(self, topic: str, partition: int, batch: BatchBuilder) -> None:
        batch.close()
        self._waiting.append(await self._producer.send_batch(batch, topic, partition=partition))
        while len(self._waiting) > MAX_WAITING:
            await self._waiting.popleft()
