"""SIGTERM under load: the worker is gone in time, what it took is saved and committed, and nothing is read again."""

from __future__ import annotations

import asyncio
import re
import signal
import time

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.stream import differences, register_model, send, truth, until, until_equal, worker
from tests.support.worker_process import log_of, quick
from topics.registry import FEEDBACK, PREDICTIONS

EVENTS = 20_000
STOP_SECONDS = 10.0
SAVING_LATE = (
    "import sys, agents.join.agent; agents.join.agent.MOST_UNSAVED = 2000; from app.cli import main; sys.exit(main())"
)
"""A worker that saves by number of records alone: when it is stopped there is something that is not saved."""
RECOVERED = re.compile(r"partition (\d+): \d+ pending predictions recovered, reading on from \[(\d+), (\d+)\]")


def read_on(log: str) -> dict[tuple[str, int], int]:
    """Where a worker said it would read on: by topic and partition."""
    found: dict[tuple[str, int], int] = {}
    for partition, predictions, feedback in RECOVERED.findall(log):
        found[PREDICTIONS.name, int(partition)] = int(predictions)
        found[FEEDBACK.name, int(partition)] = int(feedback)
    return found


async def committed(settings: Settings) -> dict[tuple[str, int], int]:
    """What the group has committed of the source topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(settings.group)
    finally:
        await admin.close()
    plain = {tp: tp.topic.removeprefix(settings.prefix) for tp in offsets}
    names = (PREDICTIONS.name, FEEDBACK.name)
    return {(plain[tp], tp.partition): found.offset for tp, found in offsets.items() if plain[tp] in names}


@pytest.mark.timeout(150)
async def test_a_worker_that_is_stopped_under_load_leaves_nothing_to_be_done_again(settings: Settings) -> None:
    settings = quick(settings).model_copy(update={"checkpoint_seconds": 30.0, "max_batch_records": 300})
    wanted = truth(EVENTS, seed=21)
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records)
    with worker(settings, "stopped", ("-c", SAVING_LATE, "worker")) as process:
        counts = await until(settings, lambda counts: counts.predictions > 0, 45)
        assert 0 < counts.predictions < EVENTS, "not under load"
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(process.wait, 20)
        took = time.monotonic() - asked
    assert status == 0, log_of(settings)
    assert took < STOP_SECONDS, log_of(settings)
    stopped = await committed(settings)
    assert 0 < sum(offset for offset in stopped.values()) < len(wanted.records), "all was read before it was stopped"
    settings = settings.model_copy(update={"checkpoint_seconds": 0.1})
    with worker(settings, "next"):
        counts = await until_equal(settings, wanted, 60)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
    assert "not all that was taken" not in (settings.state_dir / "stopped.log").read_text()
    found = read_on((settings.state_dir / "next.log").read_text())
    assert {at: offset for at, offset in found.items() if offset} == {at: o for at, o in stopped.items() if o}
