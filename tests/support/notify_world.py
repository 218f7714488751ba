"""The notify agent without Kafka: its table, its channels, and what it sent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from agents.notify.agent import NotifyAgent
from app.alerting.notify.channel import Channel, Delivered, Outcome
from app.alerting.notify.muting import Muting, inhibition_of, quiet_of
from app.alerting.notify.notification import Notification
from app.alerting.notify.retry_policy import RetryPolicy
from app.alerting.notify.routing import Policy, Routing
from app.core.config.monitoring import Alerting, Monitoring
from app.core.config.routes import Inhibit
from app.faust_batches.batch import Batch
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from tests.support.alert_events import alert_event
from tests.support.reports import START, records_of
from topics.events import AlertEvent, DeliveryEvent, Level, SilenceEvent, UndeliveredEvent
from topics.registry import ALERTS, DELIVERIES, UNDELIVERED, Topic

AT_ONCE_POLICY = Policy(wait=0.0, interval=0.0, repeat=3600.0)


class Killed(Exception):
    """The worker ends here."""


class KilledTable(dict[str, bytes]):
    """Ends the worker after so many writes, as a changelog does that was not written any further."""

    writes_left = 1_000_000

    def __setitem__(self, key: str, value: bytes) -> None:
        self._count()
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self._count()
        super().__delitem__(key)

    def _count(self) -> None:
        if not self.writes_left:
            raise Killed
        self.writes_left -= 1


@dataclass
class StubChannel:
    """Answers as told, then Delivered."""

    name: str
    answers: list[Outcome | Exception] = field(default_factory=list)
    told: list[Notification] = field(default_factory=list)
    attempts: int = 0

    async def deliver(self, notification: Notification) -> Outcome:
        self.attempts += 1
        answer = self.answers.pop(0) if self.answers else Delivered("there")
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Delivered):
            self.told.append(notification)
        return answer

    @property
    def ids(self) -> list[str]:
        """The alerts it was told of, in order."""
        return [alert.alert_id for told in self.told for alert in (*told.firing, *told.resolved)]


@dataclass
class Worker:
    """The agent with its table and what it sent."""

    partitions: ClassVar[int] = 4
    channels: Sequence[Channel]
    wanted: tuple[str, ...] | None = None
    patience: RetryPolicy = field(default_factory=RetryPolicy)
    routing: Routing = field(default_factory=lambda: Routing(policy=AT_ONCE_POLICY))
    silences: list[SilenceEvent] = field(default_factory=list)
    inhibit: Sequence[Inhibit] = ()
    redelivered: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    table: KilledTable = field(default_factory=KilledTable)
    sent: list[DeliveryEvent] = field(default_factory=list)
    undelivered: list[UndeliveredEvent] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    alerts: list[AlertEvent] = field(default_factory=list)
    taken_back: list[bytes] = field(default_factory=list)
    flapping: int = 0
    count: int = 0
    digest_above: int = 0
    killed: bool = False
    now: datetime = START

    def __post_init__(self) -> None:
        self.restart()
        self.offset = 0

    def restart(self) -> None:
        """A new process with the old table."""
        self.register(self.wanted or tuple(channel.name for channel in self.channels))
        self.agent = NotifyAgent(
            self.table, lambda model, version: self.monitoring, {channel.name: channel for channel in self.channels},
            routing=self.routing, patience=self.patience, now=lambda: self.now, rng=random.Random(1),
            muting=lambda: Muting(
                [quiet_of(one) for one in self.silences], [inhibition_of(*given) for given in enumerate(self.inhibit)]
            ),
            flapping_per_hour=self.flapping, digest_above=self.digest_above,
            redelivered=lambda group, channel: self.redelivered.get((group, channel), {}),
        )  # fmt: skip

    def register(self, names: tuple[str, ...]) -> None:
        """The model's channels are others."""
        self.wanted = names
        self.monitoring = Monitoring(alerting=Alerting(channels=names))

    async def run(self, *events: AlertEvent | bytes | None, partition: int = 0) -> None:
        """A run of records, and what it begins comes to its end."""
        await self.handle(*events, partition=partition)
        await self.rest()

    async def handle(self, *events: AlertEvent | bytes | None, partition: int = 0) -> None:
        records = records_of(events, self.offset)
        await self.agent.handle(Batch(ALERTS, partition, records), self)
        self.offset += len(records)

    async def rest(self) -> None:
        """All attempts under way end."""
        while tasks := [task for _, task in self.agent._deliveries._tasks.values()]:
            await asyncio.wait(tasks)

    async def tick(self, seconds: float = 0.25, partition: int = 0) -> None:
        """Time passes, and a tick comes."""
        self.now += timedelta(seconds=seconds)
        await self.run(partition=partition)

    async def ticks(self, seconds: float, every: float = 1.0) -> None:
        """Time passes, with ticks."""
        for _ in range(int(seconds / every)):
            await self.tick(every)

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        for record in records:
            self._publish(topic, record)

    def _publish(self, topic: Topic, record: Outgoing) -> None:
        key, value, partition, _ = record
        if topic is UNDELIVERED and value is None:
            self.taken_back.append(key or b"")
            return
        if self.killed:
            raise Killed
        assert value is not None
        if topic is ALERTS:
            self.alerts.append(msgspec.json.decode(value, type=AlertEvent))
            return
        if topic is UNDELIVERED:
            letter = msgspec.json.decode(value, type=UndeliveredEvent)
            assert (key, partition) == (f"{letter.notification_id}/{letter.channel}".encode(), None)
            self.undelivered.append(letter)
            return
        event = msgspec.json.decode(value, type=DeliveryEvent)
        assert (topic, key, partition) == (DELIVERIES, f"{event.alert_id}/{event.channel}".encode(), None)
        self.sent.append(event)

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        self.rejected += rejected


MODELS, PARTITIONS = 200, 4


def alert_of(number: int, level: Level = "error", *, value: float = 1.0) -> AlertEvent:
    """The alert of a model of its own, as far beyond its threshold as `value` says."""
    name = f"m{number}"
    return alert_event(
        name, fingerprint=name, level=level, title=f"{name} 1: drift", evidence={"value": value, "threshold": 1.0},
        labels={"model": name, "model_version": "1", "rule": "data_drift", "subject": "features"},
        links={
            "dashboard": f"http://d.example/dashboard?model={name}", "alerts": "http://d.example/dashboard#/alerts"
        },
    )  # fmt: skip


async def storm(worker: Worker, alerts: list[AlertEvent]) -> None:
    """They come to their partitions within some seconds, as windows end."""
    for start in range(0, len(alerts), 50):
        for partition in range(PARTITIONS):
            some = alerts[start : start + 50]
            mine = [alert for alert in some if int(alert.fingerprint[1:]) % PARTITIONS == partition]
            await worker.run(*mine, partition=partition)
        await passing(worker, 1.0)


async def passing(worker: Worker, seconds: float, every: float = 1.0) -> None:
    """Time passes, with ticks of all partitions."""
    for _ in range(int(seconds / every)):
        worker.now += timedelta(seconds=every)
        for partition in range(PARTITIONS):
            await worker.run(partition=partition)
