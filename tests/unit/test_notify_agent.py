"""The notify agent without Kafka: each channel once, retries, what came of it, crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import pytest

from agents.notify import Notify, Patience
from app.alerting.delivery import Channel, Delivered, Outcome, Permanent, Retryable
from app.core.config import Alerting, Monitoring
from app.ingest.decoding import Rejected
from tests.unit.reports import START, records_of
from tests.unit.test_channels import alert_event
from topics.events import AlertEvent, DeliveryEvent
from topics.registry import DELIVERIES, REPORTS, Topic


@dataclass
class StubChannel:
    """Answers as told, then Delivered."""

    name: str
    answers: list[Outcome | Exception] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    async def deliver(self, alert: AlertEvent) -> Outcome:
        answer = self.answers.pop(0) if self.answers else Delivered("there")
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Delivered):
            self.told.append(alert.alert_id)
        return answer


@dataclass
class Worker:
    """The agent with its table and what it sent."""

    channels: Sequence[Channel]
    wanted: tuple[str, ...] | None = None
    patience: Patience = field(default_factory=Patience)
    table: dict[str, bytes] = field(default_factory=dict)
    sent: list[DeliveryEvent] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    killed: bool = False
    now: datetime = START

    async def handle(self, *events: AlertEvent | bytes | None, first: int = 0, partition: int = 0) -> None:
        await self.agent().handle(partition, records_of(events, first), self._publish, self._reject)

    def agent(self) -> Notify:
        names = self.wanted or tuple(channel.name for channel in self.channels)
        monitoring = Monitoring(alerting=Alerting(channels=names))
        channels = {channel.name: channel for channel in self.channels}
        return Notify(
            self.table, lambda model, version: monitoring, channels, patience=self.patience, sleep=self._sleep,
            now=lambda: self.now,
        )  # fmt: skip

    async def _publish(self, topic: Topic, key: bytes, value: bytes, partition: int | None) -> None:
        if self.killed:
            raise ConnectionResetError
        event = msgspec.json.decode(value, type=DeliveryEvent)
        assert (topic, key, partition) == (DELIVERIES, f"{event.alert_id}/{event.channel}".encode(), None)
        self.sent.append(event)

    async def _reject(self, rejected: Sequence[Rejected]) -> None:
        self.rejected += rejected

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def test_each_channel_is_told_once_though_the_alert_comes_again() -> None:
    a, b = StubChannel("a"), StubChannel("b")
    worker = Worker([a, b])
    await worker.handle(alert_event("1"), alert_event("2"), alert_event("1"))
    await worker.handle(alert_event("1"), first=9)
    assert a.told == b.told == ["1", "2"]
    assert {(e.alert_id, e.channel, e.outcome, e.attempts) for e in worker.sent} == {
        (alert, channel, "delivered", 1) for alert in "12" for channel in "ab"
    }
    assert worker.table["@0"] == b"10"


async def test_records_below_the_watermark_are_skipped() -> None:
    channel = StubChannel("a")
    worker = Worker([channel])
    await worker.handle(alert_event("1"), alert_event("2"))
    await worker.handle(alert_event("1"), alert_event("2"))
    assert len(worker.sent) == 2


async def test_what_may_work_later_is_tried_again_with_longer_waits() -> None:
    channel = StubChannel("a", [Retryable("busy"), Retryable("busy", after=3.0), Retryable("busy", after=600.0)])
    worker = Worker([channel])
    await worker.handle(alert_event("1"))
    assert worker.waits == [0.5, 3.0, 10.0]
    assert [(e.outcome, e.attempts, e.detail) for e in worker.sent] == [("delivered", 4, "there")]


async def test_a_channel_that_never_works_fails_and_the_others_are_told() -> None:
    bad, good = StubChannel("bad", [Retryable("busy")] * 9), StubChannel("good")
    worker = Worker([bad, good])
    await worker.handle(alert_event("1"))
    assert [(e.channel, e.outcome, e.attempts, e.detail) for e in worker.sent] == [
        ("bad", "failed", 4, "busy"), ("good", "delivered", 1, "there"),
    ]  # fmt: skip


async def test_what_will_never_work_is_tried_once() -> None:
    channel = StubChannel("a", [Permanent("no such address")])
    worker = Worker([channel])
    await worker.handle(alert_event("1"))
    assert [(e.outcome, e.attempts) for e in worker.sent] == [("failed", 1)]
    assert worker.waits == []


async def test_a_channel_that_raises_stops_nothing_and_its_words_stay_secret() -> None:
    channel = StubChannel("a", [RuntimeError("https://hooks/secret")])
    worker = Worker([channel, StubChannel("b")])
    await worker.handle(alert_event("1"))
    assert [(e.outcome, e.detail) for e in worker.sent] == [
        ("failed", "the channel failed with RuntimeError"), ("delivered", "there"),
    ]  # fmt: skip


async def test_a_channel_that_does_not_answer_is_given_up() -> None:
    class Silent(StubChannel):
        async def deliver(self, alert: AlertEvent) -> Outcome:
            await asyncio.Event().wait()
            raise AssertionError

    worker = Worker([Silent("a")], patience=Patience(attempts=2, attempt_seconds=0.01))
    await worker.handle(alert_event("1"))
    assert [(e.outcome, e.attempts, e.detail) for e in worker.sent] == [("failed", 2, "no answer in 0.01 s")]


async def test_channels_do_not_wait_for_each_other() -> None:
    met = asyncio.Barrier(2)

    class Meeting(StubChannel):
        async def deliver(self, alert: AlertEvent) -> Outcome:
            await met.wait()
            return Delivered()

    worker = Worker([Meeting("a"), Meeting("b")])
    await worker.handle(alert_event("1"))
    assert [e.outcome for e in worker.sent] == ["delivered", "delivered"]


async def test_an_unknown_channel_fails_with_the_name_of_the_setting() -> None:
    worker = Worker([StubChannel("a")], wanted=("a", "pigeon"))
    await worker.handle(alert_event("1"))
    assert [(e.channel, e.outcome) for e in worker.sent] == [("a", "delivered"), ("pigeon", "failed")]
    assert worker.sent[1].detail == "alerting.channels: there is no 'pigeon', only a"


async def test_after_a_crash_nothing_is_told_twice_and_what_came_of_it_is_published() -> None:
    channel = StubChannel("a")
    worker = Worker([channel], killed=True)
    with pytest.raises(ConnectionResetError):
        await worker.handle(alert_event("1"))
    assert "@0" not in worker.table
    worker.killed = False
    await worker.handle(alert_event("1"))
    assert channel.told == ["1"]
    assert [e.outcome for e in worker.sent] == ["delivered"]


async def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_is_told() -> None:
    channel = StubChannel("a")
    worker = Worker([channel])
    await worker.handle(b"{", None, b'{"alert_id":1}', alert_event("1"))
    assert [r.record.offset for r in worker.rejected] == [0, 1, 2]
    assert channel.told == ["1"]


async def test_an_alert_is_not_told_twice_as_long_as_its_report_can_be_judged_again() -> None:
    channel = StubChannel("a")
    worker = Worker([channel])
    await worker.handle(alert_event("1"))
    week = timedelta(days=7)  # a log is cut a segment at a time
    worker.now += timedelta(days=REPORTS.retention_days) + week
    await worker.handle(alert_event("2"), first=1)
    await worker.handle(alert_event("1"), first=2)
    assert channel.told == ["1", "2"]


async def test_the_table_does_not_grow_with_the_alerts_ever_told() -> None:
    worker = Worker([StubChannel("a"), StubChannel("b")])
    agent = worker.agent()
    sizes = []
    for day in range(200):
        worker.now = START + timedelta(days=day)
        events = [alert_event(f"{day}-{i}") for i in range(3)]
        await agent.handle(0, records_of(events, 3 * day), worker._publish, worker._reject)
        sizes.append(len(worker.table))
    assert sizes[199] == sizes[100] <= 1 + 6 * (2 * REPORTS.retention_days + 2)
    assert worker.table["@0"] == b"600"
    assert any("/199-0/" in key for key in worker.table)


async def test_a_partition_forgets_only_what_it_wrote_itself() -> None:
    worker = Worker([StubChannel("a")])
    await worker.handle(alert_event("1"), partition=1)
    await worker.handle(alert_event("2"), partition=10)
    worker.now += timedelta(days=365)
    await worker.handle(alert_event("3"), first=1, partition=1)
    assert sorted(worker.table) == ["1/3/a", "10/2/a", "@1", "@10"]
