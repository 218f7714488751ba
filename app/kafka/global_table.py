"""Topic of one partition, read from its beginning and kept up to date: as records, or as a table by key."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from app.kafka.client_options import consumer_options
from app.kafka.consumer import Consumer
from app.kafka.errors import BrokerUnavailable, Unreadable, WasCancelled, words_of
from app.settings.settings import Settings
from topics.registry import Topic

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
POLL_MS = 1000
FETCH_WAIT_MS = 100
"""Milliseconds for which the broker may hold back the response to a fetch: other requests wait behind it."""


K = TypeVar("K", bound=tuple[str, ...])
T = TypeVar("T")


class FollowedTopic(ABC):
    """Topic that is read continuously, each record applied in order. Use from one event loop."""

    def __init__(self, settings: Settings, topic: Topic) -> None:
        self._options = consumer_options(settings)
        self._servers = self._options["bootstrap_servers"]
        self.topic = topic
        self._partition = TopicPartition(topic.full_name(settings.prefix), 0)
        self._consumer: Consumer | None = None
        self._tail: asyncio.Task[None] | None = None
        self._position = 0
        self._waiting: dict[asyncio.Future[None], int] = {}
        self.revision = 0
        """Rises with every record that counts. Anything derived at a lower revision may be out of date."""
        self.on_change: Callable[[], None] | None = None
        """Called after `revision` has risen."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Read everything up to now, then follow the topic. Raises BrokerUnavailable."""
        self._consumer = Consumer(
            **self._options, enable_auto_commit=False, auto_offset_reset="earliest",
            max_partition_fetch_bytes=self.topic.max_message_bytes, request_timeout_ms=int(ANSWER_SECONDS * 1000),
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )  # fmt: skip
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._consumer.start()
            self._consumer.assign([self._partition])
            self._position = await self._seek(self._consumer, self._partition)
            self._tail = asyncio.create_task(self._follow(self._consumer), name=f"view of {self._partition.topic}")
            await self.catch_up()
        except BaseException as error:
            await self.stop()
            if isinstance(error, (KafkaError, OSError, TimeoutError)):
                raise BrokerUnavailable(f"no Kafka answers at {self._servers}") from error
            raise

    async def _seek(self, consumer: Consumer, partition: TopicPartition) -> int:
        """Seek to where reading begins: the beginning of the topic. Return that offset, or one before."""
        await consumer.seek_to_beginning(partition)
        return 0

    async def stop(self) -> None:
        """Stop following. What was read is kept."""
        tail, self._tail = self._tail, None
        if tail is not None:
            tail.cancel()
            with contextlib.suppress(asyncio.CancelledError, KafkaError):
                await tail
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def catch_up(self) -> None:
        """Return once everything up to now has been read. Raises BrokerUnavailable, Unreadable."""
        if self._consumer is None or self._tail is None:
            raise RuntimeError(f"the view of {self._partition.topic} is not started")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                end = (await self._consumer.end_offsets([self._partition]))[self._partition]
                await self._read_to(end, self._tail)
        except (KafkaError, TimeoutError) as error:
            raise BrokerUnavailable(f"Kafka at {self._servers} does not answer for {self._partition.topic}") from error

    async def followed(self) -> None:
        """Return when following is stopped. Raises the error that ended it, WasCancelled among others."""
        tail = self._tail
        if tail is None:
            return
        await asyncio.wait([tail])
        if not tail.cancelled():
            tail.result()
        elif self._tail is tail:
            raise WasCancelled

    async def _read_to(self, end: int, tail: asyncio.Task[None]) -> None:
        if self._position >= end:
            return
        reached = asyncio.get_running_loop().create_future()
        self._waiting[reached] = end
        try:
            await asyncio.wait([reached, tail], return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._waiting[reached]
        if not reached.done():
            if tail.done() and not tail.cancelled() and isinstance(error := tail.exception(), Unreadable):
                raise error
            raise BrokerUnavailable(f"{self._partition.topic} is no longer read")

    async def _follow(self, consumer: Consumer) -> None:
        try:
            while True:
                runs = await consumer.getmany(self._partition, timeout_ms=POLL_MS)
                before = self.revision
                for record in runs.get(self._partition, ()):
                    self._take(record.key, record.value, record.offset)
                self._position = await consumer.position(self._partition)
                for reached, end in self._waiting.items():
                    if self._position >= end and not reached.done():
                        reached.set_result(None)
                if self.revision != before and self.on_change is not None:
                    self.on_change()
        except Unreadable as error:
            log.critical("%s", error)
            raise
        except Exception:
            log.exception("reading %s ended", self._partition.topic)
            raise

    def _take(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        """Apply a record. Log and skip a record that cannot be applied."""
        try:
            self._apply(key, value, offset)
        except Exception as error:  # noqa: BLE001 - whatever the record is, the others are read
            self._left_out(offset, error)

    def _left_out(self, offset: int, error: Exception) -> None:
        named = f"{self._partition.topic} partition {self._partition.partition} offset {offset}"
        log.error("%s is left out, it is no %s: %s", named, self.topic.event, words_of(error))

    @abstractmethod
    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        """Apply a record; a value of None removes the key. Raises any error in the record."""


class GlobalTable(FollowedTopic, Generic[K, T]):
    """Newest value of each key, in memory. A record without a value deletes its key.

    `kind`: the type of the values. `key`: returns the names that make up a value's key; joined by slashes they are the
    record's key. A record that is no `kind` is logged and skipped.
    """

    def __init__(self, settings: Settings, topic: Topic, kind: type[T], key: Callable[[T], K]) -> None:
        super().__init__(settings, topic)
        self._decoder = msgspec.json.Decoder(kind)
        self._key_of = key
        self._rows: dict[K, T] = {}

    def __iter__(self) -> Iterator[K]:
        return iter(tuple(self._rows))

    def on_update(self, key: K, offset: int) -> None:
        """Note that a key has a new value, or is deleted. For subclasses; called once the table has changed."""

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        if value is not None:
            row = self._decoder.decode(value)
            changed = [self._key_of(row)]
            self._rows[changed[0]] = row
        else:
            name = (key or b"").decode(errors="replace")
            changed = [one for one in self._rows if "/".join(one) == name]
            for one in changed:
                del self._rows[one]
        for one in changed:
            self.revision += 1
            self.on_update(one, offset)
