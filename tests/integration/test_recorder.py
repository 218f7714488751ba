"""The recorder as a process, on real topics: killed and started again, it adds no row twice and leaves none out."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.runtime.settings import Settings
from app.runtime.topic_admin import ensure_topics
from tests.stream import Truth, send, truth, worker
from topics.registry import DEAD_LETTERS, DEPLOYMENTS, FEEDBACK, PREDICTIONS

RECORDER = ("-m", "app.cli", "recorder")
EVENTS = 3000


def counts(settings: Settings) -> tuple[int, int]:
    """Predictions, and those with feedback."""
    file = settings.state_dir / "history.db"
    if not file.exists():
        return 0, 0
    with sqlite3.connect(file) as connection:
        try:
            (found,) = connection.execute("SELECT count(*), count(actual) FROM predictions").fetchall()
        except sqlite3.OperationalError:
            return 0, 0  # its tables are being made
    connection.close()
    return int(found[0]), int(found[1])


async def until(settings: Settings, enough: Callable[[tuple[int, int]], bool], seconds: float = 30) -> tuple[int, int]:
    deadline = time.monotonic() + seconds
    while not enough(found := counts(settings)):
        assert time.monotonic() < deadline, (found, log_of(settings))
        await asyncio.sleep(0.05)
    return found


def log_of(settings: Settings) -> str:
    return "\n".join(path.read_text()[-2000:] for path in sorted(Path(settings.state_dir).glob("recorder*.log")))


def expected(wanted: Truth) -> dict[str, tuple[str, str | None]]:
    """Each prediction's own label and its truth, by a plain recount of what was sent."""
    events = [(topic, msgspec.json.decode(value)) for topic, _, value in wanted.records]
    truths = {event["prediction_id"]: event["actual"] for topic, event in events if topic == FEEDBACK.name}
    made = [event for topic, event in events if topic == PREDICTIONS.name]
    return {event["prediction_id"]: (event["prediction"], truths.get(event["prediction_id"])) for event in made}


async def test_killed_and_started_again_it_records_each_prediction_once_with_its_truth(settings: Settings) -> None:
    settings = settings.model_copy(update={"session_seconds": 2.0})
    await ensure_topics(settings)
    wanted = truth(EVENTS)
    half = len(wanted.records) // 2
    await send(settings, wanted.records[:half], close=False)
    with worker(settings, "recorder-killed", RECORDER) as process:
        await until(settings, lambda found: found[0] > 0)
        os.kill(process.pid, signal.SIGKILL)
    await send(settings, wanted.records[half:])
    truths = sum(wanted.confusion.values())
    with worker(settings, "recorder", RECORDER) as process:
        await until(settings, lambda found: found == (EVENTS, truths))
        with sqlite3.connect(settings.state_dir / "history.db") as connection:
            rows = connection.execute("SELECT prediction_id, prediction, actual FROM predictions").fetchall()
            (waiting,) = connection.execute("SELECT count(*) FROM waiting_feedback").fetchone()
        connection.close()
        assert {key: (prediction, actual) for key, prediction, actual in rows} == expected(wanted)
        assert waiting == 0
        await _bad_and_good(settings)
        await _dead_letter(settings)
        assert process.stop() == 0, log_of(settings)


async def _bad_and_good(settings: Settings) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers)
    await producer.start()
    try:
        name = DEPLOYMENTS.full_name(settings.prefix)
        await producer.send_and_wait(name, b'{"model": "churn"}', key=b"churn/3")
        good = {
            "model": "churn",
            "model_version": "3",
            "deployed_at": "2026-03-01T12:00:00Z",
            "source": "register",
        }
        await producer.send_and_wait(name, msgspec.json.encode(good), key=b"churn/3")
    finally:
        await producer.stop()


async def _dead_letter(settings: Settings) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(DEAD_LETTERS.full_name(settings.prefix), 0)])
        record = await asyncio.wait_for(consumer.getone(), 20)
    finally:
        await consumer.stop()
    assert (record.key, record.value) == (b"churn/3", b'{"model": "churn"}')
    assert b"model_version" in dict(record.headers)["driftline-reason"]
