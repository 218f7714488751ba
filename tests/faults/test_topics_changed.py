"""Topics that are made again, cut short, or given more partitions: noticed, told in one line, never read as before."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import KafkaError

from app.kafka.topics import TopicError, ensure_topics
from app.local.kafka_probe import free_ports
from app.settings.settings import Settings
from tests.support.kafka_topics import delete_topic
from tests.support.run_command import typed
from tests.support.stream import differences, register_model, send, truth, until_equal, worker
from tests.support.waiting import answers
from tests.support.worker_process import log_of, quick
from topics.registry import FEEDBACK, PREDICTIONS

SETUP = os.EX_CONFIG
EVENTS = 600
SECONDS = 60


SHORTER = """
import sys
from aiokafka import AIOKafkaConsumer
from app.settings.settings import load_settings
from app.worker import run_worker

ends = AIOKafkaConsumer.end_offsets

async def shorter(self, partitions):
    found = await ends(self, partitions)
    return {tp: 1 if tp.topic == sys.argv[1] else end for tp, end in found.items()}

AIOKafkaConsumer.end_offsets = shorter
sys.exit(run_worker(load_settings()))
"""
"""A worker whose Kafka has lost the end of a topic's log, as after an unclean election: the topic keeps its id."""


def last_line(settings: Settings, name: str) -> str:
    return (settings.state_dir / f"{name}.log").read_text().splitlines()[-1]


@pytest.fixture
def counting(settings: Settings) -> Settings:
    ports = free_ports(1)
    return quick(settings).model_copy(update={"metrics_port": ports[0], "checkpoint_seconds": 0.05})


async def count(settings: Settings, seed: int) -> None:
    """A stream that a worker has counted and saved."""
    wanted = truth(EVENTS, seed=seed)
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records)
    found = await until_equal(settings, wanted, SECONDS)
    assert found.equal(wanted), differences(found, wanted) + log_of(settings)


async def never_ready(settings: Settings) -> None:
    """Ask again and again, as a probe does."""
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                answer = await client.get(f"http://127.0.0.1:{settings.metrics_port}/ready")
            except httpx.TransportError:
                pass
            else:
                assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.05)


@asynccontextmanager
async def probing(settings: Settings) -> AsyncIterator[None]:
    task = asyncio.create_task(never_ready(settings))
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()


@pytest.mark.timeout(170)
async def test_a_topic_that_was_made_again_is_noticed_whether_a_worker_runs_or_not(counting: Settings) -> None:
    settings, name = counting, FEEDBACK.full_name(counting.prefix)
    with worker(settings, "before") as process:
        await count(settings, 81)
        await delete_topic(settings, name)
        await ensure_topics_again(settings)
        assert await asyncio.to_thread(process.wait, SECONDS) == SETUP, log_of(settings)
    told = (
        rf"driftline: {name} (was deleted .*while it was read|partition \d ends at offset 0, and was read to .*); docs/"
    )
    assert re.match(told, last_line(settings, "before"))
    later = truth(EVENTS, seed=82)  # more than it held before: nothing of it is skipped
    await send(settings, later.records)
    async with probing(settings):
        with worker(settings, "after") as process:
            assert await asyncio.to_thread(process.wait, SECONDS) == SETUP, log_of(settings)
    assert f"driftline: {name} was deleted and made again (its id was " in last_line(settings, "after")


async def ensure_topics_again(settings: Settings) -> None:
    """Make the topic, as soon as Kafka has deleted it."""
    for _ in range(200):
        try:
            await ensure_topics(settings)
        except (TopicError, KafkaError):
            await asyncio.sleep(0.1)
        else:
            return


@pytest.mark.timeout(170)
async def test_another_cluster_and_a_log_that_is_too_short_are_noticed_at_the_start(counting: Settings) -> None:
    settings = counting
    note = settings.state_dir / "clusters.json"
    with worker(settings, "before"):
        await count(settings, 83)
        await answers(f"http://127.0.0.1:{settings.metrics_port}/ready", 200)
    (name, cluster) = next(iter(msgspec.json.decode(note.read_bytes()).items()))
    note.write_bytes(msgspec.json.encode({name: "another"}))
    with worker(settings, "elsewhere") as process:
        assert await asyncio.to_thread(process.wait, SECONDS) == SETUP, log_of(settings)
    assert f"is cluster {cluster}, and was another when group {name} last ran here: correct" in last_line(
        settings, "elsewhere"
    )
    note.unlink()
    async with probing(settings):
        with worker(settings, "short", ("-c", SHORTER, PREDICTIONS.full_name(settings.prefix))) as process:
            assert await asyncio.to_thread(process.wait, SECONDS) == SETUP, log_of(settings)
    told = r"predictions partition \d ends at offset 1, and was read to \d+: its log is another, or has lost its end; "
    assert re.search(told, last_line(settings, "short"))


@pytest.mark.timeout(170)
async def test_partitions_that_are_added_end_a_worker_and_a_new_prefix_has_as_many(counting: Settings) -> None:
    settings, more = counting, counting.partitions + 2
    await ensure_topics(settings)
    await register_model(settings)
    with worker(settings, "running") as process:
        await answers(f"http://127.0.0.1:{settings.metrics_port}/ready", 200)
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
        await admin.start()
        await admin.create_partitions({PREDICTIONS.full_name(settings.prefix): NewPartitions(more)})
        await admin.close()
        assert await asyncio.to_thread(process.wait, SECONDS) == SETUP, log_of(settings)
    said = last_line(settings, "running")
    assert f"predictions has {more} partitions, {settings.partitions} are set" in said
    assert said.endswith("docs/how-to/grow.md says how to have more")
    assert settings.bootstrap_servers is not None
    copy = (
        "copy", "--bootstrap-servers", settings.bootstrap_servers, "--from-prefix", settings.prefix, "--prefix",
        f"{settings.prefix}grown.", "--group", f"{settings.group}-grown", "--partitions", str(more), "--json",
    )  # fmt: skip
    for group in (("--without-state",), ("--from-group", settings.group)):
        async with asyncio.timeout(SECONDS):
            while "run still" in (answer := await asyncio.to_thread(typed, *copy, *group))[2]:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.1)  # it ended without a word to Kafka
        status, out, refused = answer
        assert status == 0, refused
        found = msgspec.json.decode(out)["records"]
        assert (found["models"], found["receivers"], found["silences"]) == (1, 0, 0)
