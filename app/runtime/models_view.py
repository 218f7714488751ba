"""Every registered model version, read from the compacted topic `models` and kept up to date."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.core.config import Monitoring
from app.core.profile import Profile
from app.runtime.errors import BrokerUnavailable
from app.runtime.settings import Settings
from topics.events import ModelEvent
from topics.registry import MODELS

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
POLL_MS = 1000

_profile = msgspec.json.Decoder(Profile)
_monitoring = msgspec.json.Decoder(Monitoring)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One model version: its reference and how it is watched."""

    profile: Profile
    monitoring: Monitoring
    registered_at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """Model and version."""
        return self.profile.model, self.profile.model_version


class ModelsView:
    """The newest registration of each model version. Use from one event loop.

    Decoded when first asked for, once. What cannot be decoded is logged and is as if it were not there.
    """

    def __init__(self, settings: Settings) -> None:
        self._servers = settings.bootstrap_servers or "localhost:9092"
        self._partition = TopicPartition(MODELS.full_name(settings.prefix), 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._tail: asyncio.Task[None] | None = None
        self._position = 0
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._events: dict[tuple[str, str], ModelEvent] = {}
        self._decoded: dict[tuple[str, str], RegisteredModel | None] = {}
        self.revision = 0
        """Rises with every registration read: what was derived from an older one may be out of date."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Load all that is registered now, then follow. Raises BrokerUnavailable."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers, enable_auto_commit=False, auto_offset_reset="earliest",
            max_partition_fetch_bytes=MODELS.max_message_bytes, request_timeout_ms=int(ANSWER_SECONDS * 1000),
        )  # fmt: skip
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._consumer.start()
            self._consumer.assign([self._partition])
            await self._consumer.seek_to_beginning(self._partition)
            self._tail = asyncio.create_task(self._follow(self._consumer), name="models view")
            await self.catch_up()
        except BaseException as error:
            await self.stop()
            if isinstance(error, (KafkaError, OSError, TimeoutError)):
                raise BrokerUnavailable(f"no Kafka answers at {self._servers}") from error
            raise

    async def stop(self) -> None:
        """Follow no longer; what was read stays."""
        tail, self._tail = self._tail, None
        if tail is not None:
            tail.cancel()
            with contextlib.suppress(asyncio.CancelledError, KafkaError):
                await tail
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def catch_up(self) -> None:
        """Return once all that is registered as of now has been read. Raises BrokerUnavailable."""
        if self._consumer is None or self._tail is None:
            raise RuntimeError("the models view is not started")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                end = (await self._consumer.end_offsets([self._partition]))[self._partition]
                await self._read_to(end, self._tail)
        except (KafkaError, TimeoutError) as error:
            raise BrokerUnavailable(f"Kafka at {self._servers} does not answer for {self._partition.topic}") from error

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
            raise BrokerUnavailable(f"{self._partition.topic} is no longer read")

    def get(self, model: str, version: str) -> RegisteredModel | None:
        """The newest registration of a model version, of those read so far."""
        key = (model, version)
        if key not in self._events:
            return None
        if key not in self._decoded:
            self._decoded[key] = _decode(self._events[key])
        return self._decoded[key]

    def all(self) -> list[RegisteredModel]:
        """Every model version, in the order of their first registration."""
        return [found for key in self._events if (found := self.get(*key)) is not None]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(tuple(self._events))

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        try:
            while True:
                runs = await consumer.getmany(self._partition, timeout_ms=POLL_MS)
                for record in runs.get(self._partition, ()):
                    self._apply(record.key, record.value, record.offset)
                self._position = await consumer.position(self._partition)
                for reached, end in self._waiting.items():
                    if self._position >= end and not reached.done():
                        reached.set_result(None)
        except Exception:
            log.exception("reading %s ended", self._partition.topic)
            raise

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        if value is None:
            self._forget(key)
            return
        try:
            event = msgspec.json.decode(value, type=ModelEvent)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.error("%s offset %d is no registration: %s", self._partition.topic, offset, error)
            return
        named = (event.model, event.model_version)
        self._events[named] = event
        self._decoded.pop(named, None)
        self.revision += 1

    def _forget(self, key: bytes | None) -> None:
        for named in [named for named in self._events if "/".join(named).encode() == key]:
            del self._events[named]
            self._decoded.pop(named, None)
            self.revision += 1


def _decode(event: ModelEvent) -> RegisteredModel | None:
    try:
        return RegisteredModel(
            _profile.decode(event.profile), _monitoring.decode(event.monitoring), event.registered_at
        )
    except msgspec.MsgspecError as error:
        log.error("registration of %s %s cannot be read: %s", event.model, event.model_version, error)
        return None
