"""Records into Kafka, each acknowledged by all in-sync replicas before the call returns."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.runtime.errors import BrokerUnavailable
from app.runtime.settings import Settings
from topics.registry import Topic

__all__ = ["ACK_SECONDS", "BrokerUnavailable", "NotSent", "Outgoing", "Producer", "RecordRefused"]

ACK_SECONDS = 10.0
MAX_REQUEST_BYTES = 32 << 20
MAX_BATCH_BYTES = 256 << 10
LINGER_MS = 2
OVERHEAD_BYTES = 1024
"""More than a batch of one record adds to it."""
CLOSE_SECONDS = 5.0

Headers = Sequence[tuple[str, bytes | None]]


class Outgoing(NamedTuple):
    """A record to be sent. Without a partition its key decides (murmur2, as in every Kafka client)."""

    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Headers = ()


class NotSent(NamedTuple):
    """A record that is too large, by its position, and why."""

    position: int
    reason: str


class RecordRefused(ValueError):
    """This record is too large; sending it again will not help."""


class Producer:
    """An idempotent producer with `acks=all`.

    A broker that does not acknowledge within ACK_SECONDS costs the connection, with all that still waits in it:
    a record that was reported as unavailable does not turn up minutes later, and memory stays bounded. The next
    send connects again.
    """

    def __init__(self, settings: Settings, *, ack_seconds: float = ACK_SECONDS) -> None:
        self._servers = settings.bootstrap_servers or "localhost:9092"
        self._prefix = settings.prefix
        self._ack_seconds = ack_seconds
        self._kafka: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable; then the next send tries again."""
        await self._connected()

    async def stop(self) -> None:
        """Disconnect; what is on its way is awaited for a moment."""
        kafka, self._kafka = self._kafka, None
        if kafka is not None:
            await _close(kafka)

    async def send(
        self, topic: Topic, key: bytes | None, value: bytes | None, partition: int | None = None, headers: Headers = ()
    ) -> None:
        """Send one record; returns when it is acknowledged. Raises BrokerUnavailable, RecordRefused."""
        for refused in await self.send_many(topic, [Outgoing(key, value, partition, headers)]):
            raise RecordRefused(refused.reason)

    async def send_many(self, topic: Topic, records: Sequence[Outgoing]) -> list[NotSent]:
        """Send records in order; returns when all are acknowledged, but those that are too large: it names them.

        Raises BrokerUnavailable when any is not within the time; the others may have arrived.
        """
        refused = [NotSent(i, reason) for i, record in enumerate(records) if (reason := _too_large(record, topic))]
        skipped = {one.position for one in refused}
        kafka, name = await self._connected(), topic.full_name(self._prefix)
        futures: list[asyncio.Future[object]] = []
        try:
            async with asyncio.timeout(self._ack_seconds):
                for i, (key, value, partition, headers) in enumerate(records):
                    if i not in skipped:
                        futures.append(await kafka.send(name, value, key, partition, headers=list(headers)))
                await asyncio.gather(*futures)
        except (TimeoutError, KafkaError, BrokerUnavailable) as error:
            await self._drop(kafka, futures)
            raise BrokerUnavailable(self._words(error, kafka, name)) from error
        return refused

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._kafka is None:
                self._kafka = await self._connect()
            return self._kafka

    async def _connect(self) -> AIOKafkaProducer:
        kafka = AIOKafkaProducer(
            bootstrap_servers=self._servers, acks="all", enable_idempotence=True, linger_ms=LINGER_MS,
            max_batch_size=MAX_BATCH_BYTES, max_request_size=MAX_REQUEST_BYTES,
            request_timeout_ms=int(self._ack_seconds * 1000),
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._ack_seconds):
                await kafka.start()
        except BaseException as error:
            await _close(kafka)
            if isinstance(error, (KafkaError, OSError, TimeoutError)):
                raise BrokerUnavailable(f"no Kafka answers at {self._servers}") from error
            raise
        return kafka

    async def _drop(self, kafka: AIOKafkaProducer, futures: list[asyncio.Future[object]]) -> None:
        """Give the connection up, with what still waits in it."""
        for future in futures:
            if not future.cancel() and not future.cancelled():
                future.exception()  # seen: nobody else will look
        if self._kafka is kafka:
            self._kafka = None
            await _close(kafka, flush=False)

    def _words(self, error: Exception, kafka: AIOKafkaProducer, topic: str) -> str:
        if not isinstance(error, TimeoutError):
            return f"Kafka at {self._servers}: {error}"
        if kafka.client.cluster.partitions_for_topic(topic) is None:
            return f"topic {topic} does not exist on {self._servers}: start a worker"
        return f"Kafka at {self._servers} has not acknowledged within {self._ack_seconds:g} s"


async def _close(kafka: AIOKafkaProducer, *, flush: bool = True) -> None:
    """Close a producer in bounded time; its own `stop` waits for ever for a broker that is gone."""
    sender = kafka._sender.sender_task
    if flush and sender is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await kafka.flush()
    kafka._closed = True
    await kafka.client.close()  # requests that are out fail now
    if sender is not None:
        sender.cancel()
        await asyncio.wait([sender], timeout=CLOSE_SECONDS)
    kafka._message_accumulator.fail_all(BrokerUnavailable("the connection to Kafka was given up"))


def _too_large(record: Outgoing, topic: Topic) -> str:
    """Why a record cannot be sent; asked before, because a refusal by the broker ends an idempotent session."""
    size = len(record.key or b"") + len(record.value or b"") + sum(len(n) + len(v or b"") for n, v in record.headers)
    largest = topic.max_message_bytes - OVERHEAD_BYTES
    return f"the record has {size:,} bytes; at most {largest:,} are taken" if size > largest else ""
