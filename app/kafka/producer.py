"""Producer of records, each acknowledged by all in-sync replicas before the call returns."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerClosed

from app.kafka.client_options import client_options
from app.kafka.errors import BrokerUnavailable
from app.settings.settings import Settings
from app.telemetry import tracing
from topics.partition import partitions_of
from topics.registry import FEEDBACK, Topic

__all__ = ["ACK_SECONDS", "BrokerUnavailable", "NotSent", "Outgoing", "Producer", "RecordRefused"]

ACK_SECONDS = 10.0
MAX_REQUEST_BYTES = 32 << 20
MAX_BATCH_BYTES = 256 << 10
LINGER_MS = 2
OVERHEAD_BYTES = 1024
"""Upper limit of the bytes that a batch adds to its only record."""
CLOSE_SECONDS = 5.0
FEWEST_TOGETHER = 16
"""Number of records from which on a partition's records are passed together: one future for all, not one each."""

Headers = Sequence[tuple[str, bytes | None]]


class Outgoing(NamedTuple):
    """Record to be sent. Without a partition its key decides (murmur2, as in every Kafka client)."""

    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Headers = ()


class NotSent(NamedTuple):
    """Record that is too large, by its position, with the reason."""

    position: int
    reason: str


class RecordRefused(ValueError):
    """This record is too large; sending it again will not help."""


class Producer:
    """Idempotent producer with `acks=all`.

    If a broker does not acknowledge within ACK_SECONDS, the connection is closed, with everything that still waits in
    it. So a record that was reported as unavailable does not arrive minutes later, and memory is bounded. The next send
    connects again.
    """

    def __init__(
        self, settings: Settings, *, ack_seconds: float = ACK_SECONDS, feedback_prefix: str | None = None
    ) -> None:
        """Create the producer. `feedback_prefix`: the prefix of the feedback topic (None: that of the other topics)."""
        self._options = client_options(settings)
        self._servers = self._options["bootstrap_servers"]
        self._prefix = settings.prefix
        self._feedback_prefix = settings.prefix if feedback_prefix is None else feedback_prefix
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
        """Disconnect. Records under way are awaited for a moment."""
        kafka, self._kafka = self._kafka, None
        if kafka is not None:
            await _close(kafka)

    async def partitions(self, topic: Topic) -> int:
        """Return the number of partitions of a topic. Raises BrokerUnavailable."""
        kafka, name = await self._connected(), self._name_of(topic)
        try:
            async with asyncio.timeout(self._ack_seconds):
                return len(await kafka.partitions_for(name))
        except (TimeoutError, KafkaError) as error:
            raise BrokerUnavailable(self._words(error, kafka, name)) from error

    async def send(
        self, topic: Topic, key: bytes | None, value: bytes | None, partition: int | None = None, headers: Headers = ()
    ) -> None:
        """Send one record. Return once it is acknowledged. Raises BrokerUnavailable, RecordRefused."""
        for refused in await self.send_many(topic, [Outgoing(key, value, partition, headers)]):
            raise RecordRefused(refused.reason)

    async def send_many(self, topic: Topic, records: Sequence[Outgoing]) -> list[NotSent]:
        """Send records in order. Return once all are acknowledged, with those that are too large and were not sent.

        Raises BrokerUnavailable when a record is not acknowledged in time; the others may have arrived.
        """
        records = _traced(records)
        refused = _refused(topic, records)
        if refused:
            skipped = {one.position for one in refused}
            records = [record for i, record in enumerate(records) if i not in skipped]
        kafka, name = await self._connected(), self._name_of(topic)
        futures: list[asyncio.Future[object]] = []
        put = _put_together if len(records) >= FEWEST_TOGETHER and all(map(_is_led, records)) else _put
        try:
            async with asyncio.timeout(self._ack_seconds):
                await put(kafka, name, records, futures)
                await asyncio.gather(*futures)
        except (TimeoutError, KafkaError, BrokerUnavailable) as error:
            await self._drop(kafka, futures)
            raise BrokerUnavailable(self._words(error, kafka, name)) from error
        return refused

    @staticmethod
    def refused(topic: Topic, records: Sequence[Outgoing]) -> list[NotSent]:
        """Return the records that are too large to be sent. Nothing is sent."""
        return _refused(topic, _traced(records))

    def _name_of(self, topic: Topic) -> str:
        return topic.full_name(self._feedback_prefix if topic is FEEDBACK else self._prefix)

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._kafka is None:
                self._kafka = await self._connect()
            return self._kafka

    async def _connect(self) -> AIOKafkaProducer:
        kafka = AIOKafkaProducer(
            **self._options, acks="all", enable_idempotence=True, linger_ms=LINGER_MS,
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
        """Close the connection, with everything that still waits in it."""
        for future in futures:
            if not future.cancel() and not future.cancelled():
                future.exception()  # retrieved: nothing else retrieves it
        if self._kafka is kafka:
            self._kafka = None
            await _close(kafka, flush=False)

    def _words(self, error: Exception, kafka: AIOKafkaProducer, topic: str) -> str:
        if not isinstance(error, TimeoutError):
            return f"Kafka at {self._servers}: {error}"
        if kafka.client.cluster.partitions_for_topic(topic) is None:
            return f"topic {topic} does not exist on {self._servers}: start a worker"
        return f"Kafka at {self._servers} has not acknowledged within {self._ack_seconds:g} s"


async def _put(
    kafka: AIOKafkaProducer, topic: str, records: Sequence[Outgoing], futures: list[asyncio.Future[object]]
) -> None:
    """Pass records one by one. Each is sent together with other records of its partition."""
    for key, value, partition, headers in records:
        futures.append(await kafka.send(topic, value, key, partition, headers=list(headers)))


async def _put_together(
    kafka: AIOKafkaProducer, topic: str, records: Sequence[Outgoing], futures: list[asyncio.Future[object]]
) -> None:
    """Pass the records of each partition together. Partitions run concurrently; each keeps its order.

    aiokafka's `send` hashes each key in Python and makes a future for each record, which costs more than the rest of a
    request. Its `send_batch` does neither, but allows a partition only one request's batch at a time. So records go
    into the open batch, as with `send`, and one future is for all of them.
    """
    partitions = _partitions(records, len(await kafka.partitions_for(topic)))
    parts: dict[int, list[Outgoing]] = {}
    for record, partition in zip(records, partitions, strict=True):
        parts.setdefault(partition, []).append(record)
    puts = (_append(kafka, TopicPartition(topic, partition), part, futures) for partition, part in parts.items())
    await asyncio.gather(*puts)


async def _append(
    kafka: AIOKafkaProducer, tp: TopicPartition, records: Sequence[Outgoing], futures: list[asyncio.Future[object]]
) -> None:
    """Do the same as aiokafka's `MessageAccumulator.add_message`, for records in order."""
    accumulator = kafka._message_accumulator
    left = list(reversed(records))
    while left:
        if accumulator._exception is not None:
            raise copy.copy(accumulator._exception)
        if accumulator._closed:
            raise ProducerClosed
        open_batches = accumulator._batches.get(tp)
        batch = open_batches[-1] if open_batches else accumulator._append_batch(accumulator.create_builder(), tp)
        before = len(left)
        while left:
            key, value, _, headers = left[-1]
            if batch._builder.append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
                break
            left.pop()
        if len(left) < before:
            futures.append(asyncio.shield(batch.future))
        if left:  # it is full: the sender takes it, then there is room for the next
            accumulator._wakeup(accumulator.waiter())
            await batch.wait_drain()


def _traced(records: Sequence[Outgoing]) -> Sequence[Outgoing]:
    carried = tracing.headers()
    return [_carrying(record, carried) for record in records] if carried else records


def _refused(topic: Topic, records: Sequence[Outgoing]) -> list[NotSent]:
    return [NotSent(i, reason) for i, record in enumerate(records) if (reason := _too_large(record, topic))]


def _carrying(record: Outgoing, carried: Headers) -> Outgoing:
    """Return a record with the current trace context, unless it has one: a dead letter keeps its own."""
    if any(name == tracing.HEADER for name, _ in record.headers):
        return record
    return record._replace(headers=[*record.headers, *carried])


def _is_led(record: Outgoing) -> bool:
    """Return whether a record has a key or a partition; the others may go to any partition."""
    return record.key is not None or record.partition is not None


def _partitions(records: Sequence[Outgoing], partitions: int) -> list[int]:
    """Return the partition of each record: its own, else that of its key, as in every Kafka client."""
    if all(record.partition is not None for record in records):
        return [record.partition or 0 for record in records]
    led = partitions_of([record.key or b"" for record in records], partitions).tolist()
    return [to if record.partition is None else record.partition for record, to in zip(records, led, strict=True)]


async def _close(kafka: AIOKafkaProducer, *, flush: bool = True) -> None:
    """Close a producer in bounded time. Its own `stop` waits for ever for a missing broker."""
    sender = kafka._sender.sender_task
    if flush and sender is not None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await kafka.flush()
    kafka._closed = True
    await kafka.client.close()  # requests under way fail now
    if sender is not None:
        sender.cancel()
        await asyncio.wait([sender], timeout=CLOSE_SECONDS)
    kafka._message_accumulator.fail_all(BrokerUnavailable("the connection to Kafka was given up"))


def _too_large(record: Outgoing, topic: Topic) -> str:
    """Return why a record cannot be sent; "" where it can. Checked before, as a refusal ends an idempotent session."""
    size = len(record.key or b"") + len(record.value or b"") + sum(len(n) + len(v or b"") for n, v in record.headers)
    largest = topic.max_message_bytes - OVERHEAD_BYTES
    return f"the record has {size:,} bytes; at most {largest:,} are taken" if size > largest else ""
