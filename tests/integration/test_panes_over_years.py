"""A quiet model's panes in a real topic: the worker deletes them, the broker compacts, and a restart reads few."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self, TypeVar

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.kafka.topics import ensure_topics
from app.local.kafka_probe import free_ports
from app.settings.settings import Settings
from tests.support.stream import MODEL, PANE, START, VERSION, register_model, worker
from tests.support.waiting import answers
from topics.events import AnyReport, DriftReport, PaneEvent, PanePartial, PerformanceReport
from topics.partition import partition_of
from topics.registry import FEEDBACK, PANES, PREDICTIONS, REPORTS

R = TypeVar("R", DriftReport, PerformanceReport)
HOUR, DAY = 3600, 86_400
SHORT = {
    "pane": PANE, "panes": 2, "longest": 0.0, "allowance": 0, "idle_after": 1, "retention": 600.0, "lateness": 120.0,
}  # fmt: skip
YEAR = {"pane": PANE, "panes": 60, "allowance": 0, "idle_after": 1, "retention": 7.0 * DAY, "lateness": 3600.0}
COMPACTING = {
    "segment.ms": "500", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0", "min.compaction.lag.ms": "0",
}  # fmt: skip


@asynccontextmanager
async def admin_of(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def compacting(settings: Settings) -> None:
    """Have the broker compact the topic at once, all along."""
    name = PANES.full_name(settings.prefix)
    async with admin_of(settings) as admin:
        topic = ConfigResource(ConfigResourceType.TOPIC, name, {**PANES.config(), **COMPACTING})
        every_broker = ConfigResource(ConfigResourceType.BROKER, "1", {"log.cleaner.backoff.ms": "200"})
        for resource in (topic, every_broker):
            await admin.alter_configs([resource])


async def send(settings: Settings, begin: int, end: int) -> None:
    """Two predictions a pane, the truth of one of them, and a heartbeat to every partition at the end."""
    rng = random.Random(begin)
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all", linger_ms=5)
    predictions, feedback = PREDICTIONS.full_name(settings.prefix), FEEDBACK.full_name(settings.prefix)
    await producer.start()
    try:
        sent = []
        for when in range(begin, end, 30):
            key, yes = f"{when}", rng.random() < 0.5
            event = {
                "prediction_id": key, "model": MODEL, "model_version": VERSION, "timestamp": when,
                "features": {"size": 0.5, "colour": "red"}, "prediction": str(int(yes)), "probability": 0.6,
            }  # fmt: skip
            sent.append(await producer.send(predictions, msgspec.json.encode(event), key.encode()))
            if when % 60:
                answer = {"prediction_id": key, "actual": "1", "timestamp": when + 60}
                sent.append(await producer.send(feedback, msgspec.json.encode(answer), key.encode()))
        await asyncio.gather(*sent)
        beat = msgspec.json.encode({"model": MODEL, "model_version": VERSION, "timestamp": end})
        for partition in range(settings.partitions):
            headers = [("driftline", b"heartbeat")]
            await producer.send_and_wait(predictions, beat, partition=partition, headers=headers)
    finally:
        await producer.stop()


class Follower:
    """Reads a partition as anybody may, and keeps the newest value of each key."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self.partition = TopicPartition(settings.prefix + topic, partition_of(MODEL, VERSION, settings.partitions))
        self.records = 0
        self.newest: dict[bytes, bytes] = {}
        self._consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign([self.partition])
        await self._consumer.seek_to_beginning()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def read(self) -> None:
        """Take what there is by now."""
        end = (await self._consumer.end_offsets([self.partition]))[self.partition]
        while await self._consumer.position(self.partition) < end:
            for records in (await self._consumer.getmany(timeout_ms=100)).values():
                for record in records:
                    self.records += 1
                    self.newest.pop(record.key, None)
                    if record.value is not None:
                        self.newest[record.key] = record.value

    @property
    def partials(self) -> list[PanePartial]:
        """The newest totals of panes."""
        events = [msgspec.json.decode(value, type=PaneEvent) for value in self.newest.values()]
        return [event for event in events if isinstance(event, PanePartial)]

    def of(self, kind: type[R]) -> list[R]:
        """The newest reports of a kind."""
        reports = [msgspec.json.decode(value, type=AnyReport) for value in self.newest.values()]
        return [report for report in reports if isinstance(report, kind)]


async def records_of(settings: Settings, topic: str) -> int:
    """How many records a start reads of it."""
    async with Follower(settings, topic) as follower:
        await follower.read()
        return follower.records


@pytest.mark.parametrize(
    ("windows", "hour", "hours"),
    [
        pytest.param(SHORT, HOUR, 5, id="hours", marks=pytest.mark.timeout(180)),
        pytest.param(YEAR, DAY, 365, id="a year", marks=[pytest.mark.long, pytest.mark.timeout(6 * HOUR)]),
    ],
)
async def test_old_panes_are_deleted_and_a_restart_reads_the_others(
    settings: Settings, windows: dict[str, float], hour: int, hours: int
) -> None:
    (port,) = free_ports(1)
    settings = settings.model_copy(update={"metrics_port": port})
    await ensure_topics(settings)
    await compacting(settings)
    await register_model(settings, windows)
    begin = end = round(START)
    kept = round((windows["retention"] * 4 / 3 + 12 * windows["panes"] * PANE) / PANE) + 3
    async with Follower(settings, PANES.name) as panes, Follower(settings, REPORTS.name) as reports:
        with worker(settings):
            await answers(f"http://127.0.0.1:{port}/ready", 200)
            for i in range(hours):
                end = begin + (i + 1) * hour
                await send(settings, end - hour, end)
                while not any(event.pane_start == end - PANE for event in panes.partials):
                    await panes.read()
            while len(panes.partials) > 4 * kept:  # two predictions a pane, and the truth of one of them
                await panes.read()
            judged: list[PerformanceReport] = []
            while len(judged) < hours * hour / PANE or any(2 * report.feedback != report.n for report in judged):
                await reports.read()
                judged = reports.of(PerformanceReport)
        await panes.read()
        assert min(event.pane_start for event in panes.partials) < end - windows["retention"]
        counted = [report.n for report in sorted(judged, key=lambda report: report.window_end)]
        assert counted == [2 * min(i + 1, windows["panes"]) for i in range(len(counted))]
        issued = dict(reports.newest)
        with worker(settings, "again"):
            state = (await answers(f"http://127.0.0.1:{port}/ready", 200)).json()
            assert (state["status"], state["panes_unread"]) == ("ready", 0), state
            many = True
            while many:  # the broker compacts what is written to no more
                await send(settings, end, end + 600)
                end += 600
                while not any(key.endswith(f"/drift/{end}".encode()) for key in reports.newest):
                    await reports.read()
                many = await records_of(settings, PANES.name) > 8 * kept
    assert len(reports.newest) > len(issued)
    newest = max(msgspec.json.decode(value)["window_end"] for value in issued.values())
    for key, value in issued.items():
        before, after = (msgspec.json.decode(one) for one in (value, reports.newest[key]))
        if before["window_end"] == newest:  # it may be issued again with what no window counts by then
            before, after = ({**one, "left_out": {}, "revision": 0, "emitted_at": ""} for one in (before, after))
        assert before == after, key
