"""Producers whose clocks are hours off: the others' windows are what they would be without them."""

from __future__ import annotations

import time
from collections import Counter

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.kafka_topics import values_of
from tests.support.stream import (
    MODEL,
    PANE,
    START,
    VERSION,
    differences,
    register_model,
    send,
    truth,
    until_equal,
    worker,
)
from tests.support.worker_process import log_of, quick
from topics.registry import DEAD_LETTERS, FEEDBACK, PREDICTIONS

EVENTS = 1500
WRONG = 60
HOURS = 6 * 3600.0


def moved(records: list[tuple[str, bytes, bytes]], seconds: float) -> list[tuple[str, bytes, bytes]]:
    """The same records with their events' times moved."""
    found: list[tuple[str, bytes, bytes]] = []
    for topic, key, value in records:
        event = msgspec.json.decode(value)
        if "timestamp" in event:
            event["timestamp"] += seconds
        found.append((topic, key, msgspec.json.encode(event)))
    return found


def wrong(name: str, times: list[float]) -> list[tuple[str, bytes, bytes]]:
    """Predictions and their feedback by a producer whose clock is off, from the good ones' model."""
    found: list[tuple[str, bytes, bytes]] = []
    for i, when in enumerate(times):
        event = {
            "prediction_id": f"{name}-{i}", "model": MODEL, "model_version": VERSION, "timestamp": when,
            "features": {"size": 99.0, "colour": "red"}, "prediction": "1", "probability": 0.9,
        }  # fmt: skip
        found.append((PREDICTIONS.name, f"{name}-{i}".encode(), msgspec.json.encode(event)))
    return found


@pytest.mark.timeout(120)
async def test_clocks_that_are_hours_off_move_nobody_elses_time(settings: Settings) -> None:
    settings = quick(settings)
    shift = (time.time() - 4000.0) // PANE * PANE - START  # the hour of good events ends about now
    wanted = truth(EVENTS, seed=51)
    wanted.records = moved(wanted.records, shift)
    wanted.panes = Counter({pane + shift: n for pane, n in wanted.panes.items()})
    wanted.confusion = Counter({(pane + shift, cell): n for (pane, cell), n in wanted.confusion.items()})
    now = time.time()
    ahead = wrong("ahead", [now + HOURS + i for i in range(WRONG)])
    ahead += [
        (FEEDBACK.name, b"ahead-%d" % i, msgspec.json.encode({
            "prediction_id": f"ahead-{i}", "actual": "1", "timestamp": now + HOURS,
        })) for i in range(WRONG)
    ]  # fmt: skip
    behind = wrong("behind", [now - HOURS - i for i in range(WRONG)])
    good, part = wanted.records, len(wanted.records) // 4
    await ensure_topics(settings)
    await register_model(settings, {"lateness": 7200.0})
    await send(settings, good[:part], close=False)
    await send(settings, ahead, close=False)
    beat = msgspec.json.encode({"model": MODEL, "model_version": VERSION, "timestamp": now + HOURS})
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers) as producer:
        name = PREDICTIONS.full_name(settings.prefix)
        for partition in range(settings.partitions):
            await producer.send_and_wait(name, beat, partition=partition, headers=[("driftline", b"heartbeat")])
    await send(settings, good[part : 2 * part], close=False)
    await send(settings, behind, close=False)
    with worker(settings) as process:
        await send(settings, good[2 * part :], close=False)
        counts = await until_equal(settings, wanted, 60)
        assert process.poll() is None, log_of(settings)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
    letters = Counter(_kind(value) for value in await values_of(settings, DEAD_LETTERS.full_name(settings.prefix), 1))
    assert letters == {"ahead": 2 * WRONG, "behind": WRONG, "beat": settings.partitions}


def _kind(value: bytes) -> str:
    event = msgspec.json.decode(value)
    return str(event.get("prediction_id", "beat")).partition("-")[0]
