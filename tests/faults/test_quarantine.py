"""A record that kills the worker: dead-lettered after it has done so again and again, and all else is counted."""

from __future__ import annotations

import asyncio
import sys

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from app.faust_batches.app import FAILED
from app.kafka.topics import ensure_topics
from app.processes.guarded import GuardedProcess
from app.settings.settings import Settings, environment
from tests.support.stream import Truth, differences, register_model, send, truth, until_equal
from tests.support.worker_process import log_of, quick
from topics.registry import DEAD_LETTERS, PREDICTIONS

POISONED = """
import sys
from app.ingest import predictions
from app.settings.settings import load_settings
from app.worker import run_worker

heads_of = predictions.heads_of
def poisoned(records, *expected):
    if any(record.value and b'"poison"' in record.value for record in records):
        raise ValueError("a fault of ours that one record brings out")
    return heads_of(records, *expected)

import agents.join.intake
agents.join.intake.heads_of = poisoned
sys.exit(run_worker(load_settings()))
"""
MOST_LIVES = 8


def start(settings: Settings, life: int) -> GuardedProcess:
    """A worker that one record kills."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with (settings.state_dir / f"life-{life}.log").open("ab") as out:
        return GuardedProcess([sys.executable, "-c", POISONED], env=environment(settings), stdout=out, stderr=out)


async def dead_letter(settings: Settings) -> tuple[bytes | None, bytes | None, dict[str, bytes]]:
    """The first dead letter: key, value, headers."""
    name = DEAD_LETTERS.full_name(settings.prefix)
    consumer = AIOKafkaConsumer(name, bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await consumer.getone()
    finally:
        await consumer.stop()
    return record.key, record.value, dict(record.headers)


async def ended_or_equal(settings: Settings, process: GuardedProcess, wanted: Truth) -> int | None:
    """Wait until the worker has ended (its status) or all is counted (None)."""
    equal = asyncio.create_task(until_equal(settings, wanted, 60))
    ended = asyncio.create_task(asyncio.to_thread(process.wait, 90))
    done, _ = await asyncio.wait([equal, ended], return_when=asyncio.FIRST_COMPLETED)
    if ended in done:
        equal.cancel()
        return ended.result()
    process.let_go()
    await ended
    return None


@pytest.mark.timeout(240)
async def test_a_record_that_kills_the_worker_is_quarantined(settings: Settings) -> None:
    settings = quick(settings)
    wanted = truth(2000, seed=11)
    await ensure_topics(settings)
    await register_model(settings)
    poison = next(value for topic, _, value in wanted.records if topic == PREDICTIONS.name)
    event = msgspec.json.encode({**msgspec.json.decode(poison), "prediction_id": "poison"})
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers) as producer:
        await producer.send_and_wait(PREDICTIONS.full_name(settings.prefix), event, b"poison", headers=[("a", b"b")])
    await send(settings, wanted.records)
    for life in range(MOST_LIVES):
        process = start(settings, life)
        try:
            status = await ended_or_equal(settings, process, wanted)
        finally:
            process.stop()
        if status is None:
            break
        assert status == FAILED, log_of(settings, f"life-{life}")
    counts = await until_equal(settings, wanted, 5)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings, "life-*")
    key, value, headers = await dead_letter(settings)
    assert (key, value, headers["a"]) == (b"poison", event, b"b")
    assert b"ValueError: a fault of ours" in headers["driftline-reason"]
