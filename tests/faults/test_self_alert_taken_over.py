"""A worker is killed while an alert about its partitions fires: the next worker goes on with it, and resolves it."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import Callable

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from app.alerting.rules.service_rules import OF_PARTITION
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.stream import MODEL, START, VERSION, register_model, worker
from tests.support.worker_process import log_of, quick
from topics.events import AlertEvent, AnyReport, MonitorReport
from topics.registry import ALERTS, PREDICTIONS, REPORTS


class Seen:
    """The alerts about the monitor by subject, each once, and the workers that have reported."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.statuses: dict[str, dict[str, str]] = {}
        self.workers: set[str] = set()

    async def until(self, enough: Callable[[], bool]) -> None:
        """Read on until it is enough."""
        async with asyncio.timeout(40):
            while not enough():
                for tp, records in (await self._consumer.getmany(timeout_ms=100)).items():
                    for record in records:
                        self._take(tp.topic, record.value)

    def _take(self, topic: str, value: bytes) -> None:
        if topic.endswith(ALERTS.name):
            alert = msgspec.json.decode(value, type=AlertEvent)
            self.statuses.setdefault(alert.labels["subject"], {})[alert.alert_id] = alert.status
            return
        report = msgspec.json.decode(value, type=AnyReport)
        if isinstance(report, MonitorReport) and report.partitions:
            self.workers.add(report.worker)

    def all_are(self, *wanted: str) -> bool:
        """Whether each subject's alert has gone through these."""
        return all(tuple(statuses.values()) == wanted for statuses in self.statuses.values())


class Serving:
    """A hundred records a second; a third of them cannot be read, as long as it is `broken`."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self.broken = True
        self._producer, self._topic = producer, topic

    async def run(self) -> None:
        """Send until cancelled."""
        for i in range(100_000):
            key = uuid.uuid4().hex
            event = {
                "prediction_id": key, "model": MODEL, "model_version": VERSION,
                "timestamp": "yesterday" if self.broken and i % 3 == 0 else START,
                "features": {"size": 1.0, "colour": "red"}, "prediction": "1", "probability": 0.9,
            }  # fmt: skip
            await self._producer.send_and_wait(self._topic, msgspec.json.encode(event), key.encode())
            await asyncio.sleep(0.01)


@pytest.mark.timeout(150)
async def test_an_alert_about_a_killed_worker_is_taken_over_and_resolved(settings: Settings) -> None:
    settings = quick(settings).model_copy(update={"monitor_seconds": 1.0})
    await ensure_topics(settings)
    await register_model(settings)
    topics = [REPORTS.full_name(settings.prefix), ALERTS.full_name(settings.prefix)]
    servers = settings.bootstrap_servers
    async with (
        AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer,
        AIOKafkaConsumer(*topics, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer,
    ):
        seen, serving = Seen(consumer), Serving(producer, PREDICTIONS.full_name(settings.prefix))
        sending = asyncio.create_task(serving.run())
        try:
            with worker(settings, "killed") as first:
                await seen.until(lambda: len(seen.statuses) == settings.partitions)
                os.kill(first.pid, signal.SIGKILL)
                await asyncio.to_thread(first.wait)
            with worker(settings, "heir"):
                await seen.until(lambda: len(seen.workers) == 2)
                assert seen.all_are("firing"), seen.statuses
                serving.broken = False
                await seen.until(lambda: seen.all_are("firing", "resolved"))
        except TimeoutError:
            raise AssertionError(f"{seen.statuses} by {seen.workers}\n{log_of(settings)}") from None
        finally:
            sending.cancel()
    assert all(OF_PARTITION in subject for subject in seen.statuses)
    assert len(seen.statuses) == settings.partitions
