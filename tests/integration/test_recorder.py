"""The recorder as a process, on real topics: killed and started again, it adds no row twice and leaves none out."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.core.profile_builder import build_profile
from app.history.writer import ADDING
from app.kafka.topics import ensure_topics
from app.local.kafka_probe import free_ports
from app.settings.settings import Settings
from tests.support.history_stream import registered
from tests.support.metrics import samples
from tests.support.recorder import RECORDER, log_of, until, until_rows
from tests.support.stream import Truth, send, truth, worker
from tests.support.waiting import answers
from topics.registry import DEAD_LETTERS, DELIVERIES, DEPLOYMENTS, FEEDBACK, MODELS, PREDICTIONS, Topic

EVENTS = 3000
UNREADABLE = b'{"model": "churn"}'
UNFIT = (
    b'{"alert_id": "a1", "fingerprint": "f", "channel": "log", "outcome": "failed", "attempts": 100000000000000000000,'
    b' "detail": "", "delivered_at": "2026-03-01T12:00:00Z"}'
)
"""A number that no database holds."""


def expected(wanted: Truth) -> dict[str, tuple[str, str | None]]:
    """Each prediction's own label and its truth, by a plain recount of what was sent."""
    events = [(topic, msgspec.json.decode(value)) for topic, _, value in wanted.records]
    truths = {event["prediction_id"]: event["actual"] for topic, event in events if topic == FEEDBACK.name}
    made = [event for topic, event in events if topic == PREDICTIONS.name]
    return {event["prediction_id"]: (event["prediction"], truths.get(event["prediction_id"])) for event in made}


async def test_killed_and_started_again_it_records_each_prediction_once_with_its_truth(settings: Settings) -> None:
    (port,) = free_ports(1)
    settings = settings.model_copy(update={"session_seconds": 2.0, "recorder_metrics_port": port})
    probe = f"http://127.0.0.1:{port}"
    await ensure_topics(settings)
    wanted = truth(EVENTS)
    half = len(wanted.records) // 2
    await send(settings, wanted.records[:half], close=False)
    in_the_way = settings.state_dir / "history.db"
    in_the_way.mkdir(parents=True)
    with worker(settings, "recorder-killed", RECORDER) as process:
        waiting = (await answers(f"{probe}/ready", 503, until="unable to open")).json()
        assert (waiting["status"], waiting["lag"]) == ("waiting", {})
        assert "unable to open database file" in waiting["waits_for"]
        assert (await answers(f"{probe}/health", 200)).json() == {"status": "healthy"}
        in_the_way.rmdir()
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
        reasons = await _dead_letters(settings)
        assert "model_version" in reasons[UNREADABLE]
        assert reasons[UNFIT] == "history: Python int too large to convert to SQLite INTEGER"
        await until_rows(settings, "SELECT channel FROM deliveries ORDER BY channel", [("email",), ("slack",)])
        await until_rows(settings, "SELECT source FROM model_deployments", [("register",)])
        await until_rows(settings, "SELECT actual FROM default_truths", [("stays",)])
        await _told(probe, settings)
        assert process.stop() == 0, log_of(settings)


async def _told(probe: str, settings: Settings) -> None:
    """What `/ready` and `/metrics` say when all is written."""
    state = (await answers(f"{probe}/ready", 200)).json()
    assert (state["status"], state["waits_for"]) == ("ready", None)
    assert state["partitions"] == {topic.name: topic.partitions(settings.partitions) for topic in ADDING}
    assert set(state["lag"].values()) == {0}
    found = samples((await answers(f"{probe}/metrics", 200)).text)
    assert found["driftline_recorder_ready",] == 1
    assert found["driftline_recorder_rows_total", "deliveries"] == 2
    assert found["driftline_recorder_rows_total", "model_deployments"] == 1
    assert found["driftline_recorder_dead_letters_total", "history", "deliveries"] == 1
    assert 0 <= time.time() - found["driftline_recorder_last_write_timestamp_seconds",] < 60
    assert found["driftline_recorder_batch_seconds_count",] > 0


async def _bad_and_good(settings: Settings) -> None:
    """Records that cannot be read, and that no database takes, between others."""
    deployed = {"model": "churn", "model_version": "3", "deployed_at": "2026-03-01T12:00:00Z", "source": "register"}
    delivery = {
        "alert_id": "a1", "fingerprint": "f", "channel": "slack", "outcome": "failed", "attempts": 1, "detail": "",
        "delivered_at": "2026-03-01T12:00:00Z",
    }  # fmt: skip
    profile = build_profile("churn", "3", "binary", {}, ["goes", "stays"])
    sent: list[tuple[Topic, bytes | None]] = [
        (MODELS, msgspec.json.encode(registered(profile, "stays"))),
        (MODELS, None),
        (DEPLOYMENTS, UNREADABLE),
        (DEPLOYMENTS, msgspec.json.encode(deployed)),
        (DELIVERIES, msgspec.json.encode(delivery)),
        (DELIVERIES, UNFIT),
        (DELIVERIES, msgspec.json.encode(delivery | {"channel": "email"})),
    ]
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, linger_ms=100)
    await producer.start()
    try:
        await asyncio.gather(
            *[await producer.send(topic.full_name(settings.prefix), value, key=b"churn/3") for topic, value in sent]
        )
    finally:
        await producer.stop()


async def _dead_letters(settings: Settings) -> dict[bytes, str]:
    """The two dead letters and their reasons."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(DEAD_LETTERS.full_name(settings.prefix), 0)])
        records = [await asyncio.wait_for(consumer.getone(), 20) for _ in range(2)]
    finally:
        await consumer.stop()
    return {record.value: dict(record.headers)["driftline-reason"].decode() for record in records}
