"""Saved state that is gone or broken while no worker runs: the counts are built again, or nothing is published."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.kafka_topics import delete_topic
from tests.support.stream import Counts, Truth, differences, register_model, send, truth, until_equal, watching, worker
from tests.support.worker_process import log_of, quick
from topics.registry import FEEDBACK, PREDICTIONS

EVENTS = 2000
SETUP = os.EX_CONFIG


def changelog(settings: Settings) -> str:
    return f"{settings.group}-join-changelog"


async def counted(settings: Settings, seed: int) -> Truth:
    """A stream that a worker has counted in full and committed."""
    wanted = truth(EVENTS, seed=seed)
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records)
    with worker(settings, "before"):
        counts = await until_equal(settings, wanted, 60)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
    return wanted


async def delete_before(settings: Settings, name: str, share: float) -> None:
    """Delete the first part of each partition of a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await consumer.start()
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": "compact,delete"})
        if "changelog" in name:  # a log that is only compacted cannot be truncated
            await admin.alter_configs([resource])
        ends = await consumer.end_offsets([TopicPartition(name, p) for p in range(settings.partitions)])
        await admin.delete_records({tp: RecordsToDelete(before_offset=round(end * share)) for tp, end in ends.items()})
        if "changelog" in name:
            back = ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": "compact"})
            await admin.alter_configs([back])
    finally:
        await admin.close()
        await consumer.stop()


def never_less(counts: Counts, wanted: Truth) -> bool:
    """Whether each pane says all that there is."""
    panes: Counter[float] = Counter()
    for (start, _), (_, n) in counts.inputs.items():
        panes[start] += n
    return panes == wanted.panes


@pytest.mark.timeout(150)
@pytest.mark.parametrize("how", ["deleted", pytest.param("truncated", marks=pytest.mark.long)])
async def test_a_lost_changelog_is_built_again_without_saying_less_in_between(settings: Settings, how: str) -> None:
    settings = quick(settings).model_copy(update={"max_batch_records": 50})
    wanted = await counted(settings, 61)
    if how == "deleted":
        await delete_topic(settings, changelog(settings))
    else:
        await delete_before(settings, changelog(settings), 0.5)
    less: list[str] = []
    async with watching(settings) as watch:
        counts = await watch.until(lambda counts: counts.equal(wanted), 20)
        revisions = dict(counts.inputs)

        def rebuilt(counts: Counts) -> bool:
            for at, (_, n) in counts.inputs.items():
                if n < revisions[at][1]:
                    less.append(f"{at}: {n} after {revisions[at][1]}")
            return all(counts.inputs[at][0] > revision for at, (revision, _) in revisions.items())

        with worker(settings, "after"):
            counts = await watch.until(rebuilt, 45)
            assert rebuilt(counts), log_of(settings, "after")
            assert not less
            counts = await watch.until(lambda counts: counts.equal(wanted), 20)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
    said = (settings.state_dir / "after.log").read_text()
    assert "saved state is gone from the changelog; it is built again" in said


@pytest.mark.timeout(120)
async def test_a_lost_changelog_that_cannot_be_built_again_stops_the_worker(settings: Settings) -> None:
    settings = quick(settings)
    wanted = await counted(settings, 62)
    for topic in (PREDICTIONS, FEEDBACK):
        await delete_before(settings, topic.full_name(settings.prefix), 0.3)
    await delete_topic(settings, changelog(settings))
    with worker(settings, "after") as process:
        assert await asyncio.to_thread(process.wait, 45) == SETUP, log_of(settings)
    said = (settings.state_dir / "after.log").read_text()
    (line,) = [line for line in said.splitlines() if line.startswith("driftline: ")]
    assert (
        "is gone from the changelog (deleted, or truncated), and predictions no longer has the records from 0" in line
    )
    counts = await until_equal(settings, wanted, 10)
    assert never_less(counts, wanted)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with a broken quarantine file, on a disk that has no room left."""
    full = tmp_path / "full"
    full.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(full)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small tmpfs can be mounted by root only")
    try:
        (full / "quarantine.json").write_bytes(b'{"broken')
        (full / "worker").mkdir()
        with (full / "rest").open("wb", buffering=0) as rest, contextlib.suppress(OSError):
            while rest.write(b"0" * 1024):
                pass
        yield full
    finally:
        subprocess.run(["umount", full], check=True)


@pytest.mark.timeout(120)
async def test_a_broken_state_folder_on_a_full_disk_changes_no_number(settings: Settings, full_disk: Path) -> None:
    settings = quick(settings)
    wanted = truth(EVENTS, seed=63)
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records)
    with worker(settings, command=("-m", "app.cli", "worker", "--state-dir", str(full_disk))) as process:
        counts = await until_equal(settings, wanted, 60)
        assert process.poll() is None, log_of(settings)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
    assert f"{full_disk}/quarantine.json is left aside" in (settings.state_dir / "worker.log").read_text()
