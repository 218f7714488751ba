"""The batch transport in a group: members that come and go at the worst moments, and every record counted once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.kafka_topics import batches_of
from tests.support.stream import differences, register_model, send, truth, until, until_equal, worker
from topics.registry import FEEDBACK, PANES, PREDICTIONS

EVENTS = 8000
HELD = """
import sys
from pathlib import Path

import app.worker.wiring
from agents.join.agent import JoinAgent
from app.settings.settings import load_settings

folder = Path(sys.argv[1])
make_app, checkpoint = app.worker.wiring.make_app, JoinAgent._checkpoint

def without_commits(settings):
    made = make_app(settings)
    made.conf.broker_commit_interval = 3600.0
    return made

async def held(self, partition, source, publish):
    if (folder / "released").exists():
        await checkpoint(self, partition, source, publish)
    elif sum(source.offsets):
        (folder / f"applied-{partition}").touch()

app.worker.wiring.make_app, JoinAgent._checkpoint = without_commits, held
sys.exit(app.worker.run_worker(load_settings()))
"""
"""A worker that applies what it reads, but saves and commits nothing until it is released."""


async def until_true(happened: Callable[[], bool], seconds: float = 45.0) -> None:
    """Wait for what another process does; it tells nobody."""
    async with asyncio.timeout(seconds):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def log_of(settings: Settings, name: str) -> str:
    path = Path(settings.state_dir / f"{name}.log")
    return path.read_text() if path.exists() else ""


def has_partitions(settings: Settings, name: str) -> bool:
    return "predictions recovered" in log_of(settings, name)


async def committed(settings: Settings) -> set[TopicPartition]:
    """The source partitions for which the group has committed an offset."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(settings.group)
    finally:
        await admin.close()
    names = {topic.full_name(settings.prefix) for topic in (PREDICTIONS, FEEDBACK)}
    return {tp for tp, found in offsets.items() if tp.topic in names and found.offset >= 0}


async def published(settings: Settings) -> int:
    """How many records there have been in `panes`."""
    name = PANES.full_name(settings.prefix)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(name, p) for p in range(settings.partitions)])
    finally:
        await consumer.stop()
    return sum(ends.values())


@pytest.mark.timeout(150)
async def test_a_worker_that_joins_before_anything_is_saved_or_committed(settings: Settings, tmp_path: Path) -> None:
    wanted = truth(EVENTS, seed=21)
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records)
    with worker(settings, "first", ("-c", HELD, str(tmp_path))):
        await until_true(lambda: len(list(tmp_path.glob("applied-*"))) == settings.partitions)
        assert await committed(settings) == set()
        assert await published(settings) == 0
        with worker(settings, "second"):
            await until_true(lambda: has_partitions(settings, "second"))
            (tmp_path / "released").touch()
            counts = await until_equal(settings, wanted, 45)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings, "first") + log_of(settings, "second")


@pytest.mark.timeout(150)
async def test_workers_that_start_together_on_a_full_log(settings: Settings) -> None:
    settings = settings.model_copy(update={"max_batch_records": 200})
    wanted = truth(EVENTS, seed=22)
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records)
    names = ["one", "two", "three"]
    with ExitStack() as running:
        for name in names:
            running.enter_context(worker(settings, name))
        counts = await until_equal(settings, wanted, 60)
        await until_true(lambda: all(has_partitions(settings, name) for name in names))
    assert counts.equal(wanted), differences(counts, wanted) + "".join(log_of(settings, name) for name in names)


@pytest.mark.timeout(150)
async def test_a_worker_that_is_stopped_in_the_middle_ends_well_and_the_next_goes_on(settings: Settings) -> None:
    settings = settings.model_copy(update={"max_batch_records": 200})
    wanted = truth(EVENTS, seed=23)
    half = len(wanted.records) // 2
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records[:half], close=False)
    with worker(settings, "stopped") as process:
        await until(settings, lambda counts: counts.predictions > 0, 45)
        sending = asyncio.create_task(send(settings, wanted.records[half:]))
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) == 0, log_of(settings, "stopped")
        assert "something still running" not in log_of(settings, "stopped")
    await sending
    with worker(settings, "next"):
        counts = await until_equal(settings, wanted, 45)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings, "next")
    await was_written_by_idempotent_producers(settings, 2)


async def was_written_by_idempotent_producers(settings: Settings, producers: int) -> None:
    """Kafka takes a batch once of who numbers them; -1 is nobody, whose batch is taken as often as it is sent."""
    found: set[int] = set()
    for partition in range(settings.partitions):
        following: dict[int, int] = {}
        for producer, sequence, records in await batches_of(settings, f"{settings.group}-join-changelog", partition):
            assert sequence == following.get(producer, 0)
            following[producer] = sequence + records
        found |= following.keys()
    assert len(found) == producers
    assert min(found) >= 0
