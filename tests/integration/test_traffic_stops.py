"""A model that is served live: its predictions stop and come again, through a real worker.

One of its producers has a clock that is ahead.
"""

from __future__ import annotations

import asyncio
import time
import uuid

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from typer.testing import CliRunner

from app.cli import app
from app.kafka.topics import ensure_topics
from app.registration.monitoring import monitoring_of
from app.registration.publish import register
from app.registration.versions_table import VersionsTable
from app.settings.settings import Settings
from tests.support.stream import MODEL, MONITORING, VERSION, frame, worker
from topics.events import AlertEvent, PaneEvent, Progress
from topics.registry import ALERTS, PANES, PREDICTIONS

LIVE = MONITORING | {
    "windows": {"pane": 1, "panes": 5, "allowance": 0, "idle_after": 1, "retention": 60},
    "drift": {"min_samples": 200},  # the hundred rows that are served twice: fewer differ by chance on a slow machine
}


@pytest.mark.timeout(120)
async def test_traffic_that_stops_fires_until_it_comes_again_or_the_version_is_retired(settings: Settings) -> None:
    await ensure_topics(settings)
    await register(settings, MODEL, VERSION, frame(2000), monitoring_of(LIVE))
    consumer = AIOKafkaConsumer(
        ALERTS.full_name(settings.prefix), bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all")
    await producer.start()
    await consumer.start()
    seen: list[str] = []
    messages: list[str] = []
    others: list[AlertEvent] = []
    served = asyncio.Event()
    served.set()

    async def serve() -> None:
        """Fifty predictions a second, and now and then one by a clock that is four minutes ahead."""
        rows = frame(100).to_dict("records")
        for i in range(100_000):
            await served.wait()
            row, key = rows[i % len(rows)], uuid.uuid4().hex
            event = {
                "prediction_id": key, "model": MODEL, "model_version": VERSION,
                "timestamp": time.time() + (240.0 if i % 40 == 20 else 0.0),
                "features": {"size": row["size"], "colour": row["colour"]}, "prediction": row["prediction"],
            }  # fmt: skip
            await producer.send_and_wait(
                PREDICTIONS.full_name(settings.prefix), msgspec.json.encode(event), key.encode()
            )
            await asyncio.sleep(0.02)  # fifty a second

    async def until(wanted: str, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            async for record in consumer:
                alert = msgspec.json.decode(record.value, type=AlertEvent)
                if (alert.rule, alert.labels["subject"]) == ("traffic", "stopped"):
                    seen.append(alert.status)
                    messages.append(alert.message)
                    if alert.status == wanted:
                        return
                others.append(alert)

    serving = asyncio.create_task(serve())
    try:
        with worker(settings):
            await asyncio.sleep(7)  # a window of event time, which for live traffic is the wall clock
            assert seen == []
            served.clear()
            await until("firing", 40)
            served.set()
            await until("resolved", 40)
            served.clear()
            await until("firing", 40)
            await retire(settings)
            await until("resolved", 40)
            assert "the version is retired: a new one" in messages[-1]
    finally:
        serving.cancel()
        await producer.stop()
        await consumer.stop()
    assert seen == ["firing", "resolved"] * 2
    assert await late_of(settings) == 0
    assert not [alert for alert in others if alert.rule in ("data_drift", "prediction_drift", "data_quality")]


async def retire(settings: Settings) -> None:
    """Retire the version by the command; one that is not registered is refused."""
    flags = ["--model", MODEL, "--reason", "a new one", "--prefix", settings.prefix]
    flags += ["--bootstrap-servers", str(settings.bootstrap_servers)]
    done, refused = [
        await asyncio.to_thread(CliRunner().invoke, app, ["retire", "--version", version, *flags])
        for version in (VERSION, "99")
    ]
    assert done.exit_code == 0, done.output
    assert "version 99 is not registered" in str(refused.exception)
    async with VersionsTable(settings) as versions:
        life = versions.get(MODEL, VERSION)
    assert life is not None
    assert (life.status, life.by, life.reason) == ("retired", "command", "a new one")


async def late_of(settings: Settings) -> int:
    """How many predictions were late, by the newest progress of each partition."""
    late: dict[int, int] = {}
    consumer = AIOKafkaConsumer(
        PANES.full_name(settings.prefix), bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    event = msgspec.json.decode(record.value, type=PaneEvent)
                    if isinstance(event, Progress):
                        late[event.partition] = event.late
    finally:
        await consumer.stop()
    assert late
    return sum(late.values())
