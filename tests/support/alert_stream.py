"""Both agents of alerts over the moments of a scene, without Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from agents.alerts.agent import AlertsAgent
from agents.notify.agent import NotifyAgent
from app.alerting.notify.channel import Channel, Delivered, Outcome
from app.alerting.notify.notification import Notification
from app.alerting.notify.routing import Policy, Routing
from app.core.config.monitoring import Monitoring
from app.core.config.routes import Route
from app.faust_batches.batch import Batch
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from tests.support.alert_scenes import Moment, Scene
from tests.support.reports import START, StubRecord, records_of
from topics.events import AlertEvent, Event
from topics.registry import ALERTS, REPORTS, Topic


@dataclass
class Collector:
    """A channel that keeps what it is asked to deliver."""

    name: str
    digests: bool = True
    found: list[Notification] = field(default_factory=list)

    async def deliver(self, notification: Notification) -> Outcome:
        self.found.append(notification)
        return Delivered()


class Stream:
    """The agents that make alerts of reports and notifications of alerts, with a people's channel and two others.

    It is the output of both.
    """

    partitions = 1

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.offsets = {"reports": 0, "alerts": 0}
        self.now = START
        self.monitoring: Monitoring | None = scene.monitoring[0]
        self.registered = True
        self.people, self.every_transition, self.other = (
            Collector("slack"),
            Collector("log", False),
            Collector("alertmanager"),
        )
        self.raised: list[AlertEvent] = []
        self.published: list[AlertEvent] = []
        channels: list[Channel] = [self.people, self.every_transition, self.other]
        named = {channel.name: channel for channel in channels}
        self.table: dict[str, bytes] = {}
        self.alerts = AlertsAgent(
            self.table, lambda *_: self.monitoring, now=lambda: self.now, page="http://drift.example",
            with_values=scene.with_values, partitions=1, is_registered=lambda *_: self.registered,
        )  # fmt: skip
        self.notify = NotifyAgent(
            {}, lambda *_: self.monitoring, named, now=lambda: self.now, flapping_per_hour=scene.flapping,
            routing=Routing([Route(channels=tuple(named), name="all")], policy=Policy(wait=0.0, interval=0.0)),
            digest_above=scene.digest_above,
        )  # fmt: skip

    async def play(self) -> None:
        for number, moment in enumerate(self.scene.moments):
            self.monitoring = self.scene.monitoring[min(number, len(self.scene.monitoring) - 1)]
            await self._come(moment)
        if self.scene.gone:
            self.registered = False
            await self.alerts.tidy(0, self)
            self.now += timedelta(minutes=1)
            await self.alerts.tidy(0, self)
            await self._notify([])
        self.now += timedelta(seconds=self.scene.waits)
        await self._notify([])

    async def _come(self, moment: Moment) -> None:
        reports = [one for one in moment if not isinstance(one, AlertEvent)]
        await self.alerts.handle(Batch(REPORTS, 0, self._records("reports", reports)), self)
        await self._notify([one for one in moment if isinstance(one, AlertEvent)])

    async def _notify(self, given: list[AlertEvent]) -> None:
        """With ticks until everything is delivered: a digest gathers for some seconds."""
        raised, self.raised = self.raised, []
        await self.notify.handle(Batch(ALERTS, 0, self._records("alerts", [*raised, *given])), self)
        for _ in range(40 if self.scene.digest_above else 2):
            while tasks := [task for _, task in self.notify._deliveries._tasks.values()]:
                await asyncio.wait(tasks)
            self.now += timedelta(seconds=2)
            await self.notify.handle(Batch(ALERTS, 0, []), self)

    def _records(self, topic: str, events: Sequence[Event]) -> list[StubRecord]:
        first = self.offsets[topic]
        self.offsets[topic] += len(events)
        return records_of(events, first)

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        if topic is ALERTS:
            for record in records:
                self.raised.append(msgspec.json.decode(record.value or b"", type=AlertEvent))
                self.published.append(self.raised[-1])

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        raise AssertionError(list(rejected))
