"""`register --from-topic`: the predictions in Kafka as a reference, as docs/how-to/no-reference.md shows it."""

from __future__ import annotations

import asyncio
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from aiokafka import AIOKafkaProducer

from app.ingest.predictions import HEARTBEAT
from app.kafka.producer import Outgoing, Producer
from app.kafka.topics import ensure_topics
from app.references import reading
from app.registration.models_table import ModelsTable
from app.registration.profiling import profile_of
from app.settings.settings import Settings
from tests.support.run_command import typed
from topics.events import FeedbackEvent, PredictionEvent
from topics.registry import FEEDBACK, PREDICTIONS

PAGE = Path("docs/how-to/no-reference.md")
START = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
ROWS = 600
"""Predictions of version 3, a minute after another, sent in an order that is not that of their times."""


def features(i: int) -> dict[str, str | int | float | bool | None]:
    return {"age": 20 + i % 50, "town": ["Oulu", "Turku", "Vaasa"][i % 3]}


def prediction(i: int, **changes: object) -> Outgoing:
    event = PredictionEvent(
        prediction_id=f"p{i}", model="churn", model_version="3", timestamp=START + i * 60.0, features=features(i),
        prediction="goes" if i % 4 == 0 else "stays", probability=0.75 if i % 4 == 0 else 0.25,
    )  # fmt: skip
    event = msgspec.structs.replace(event, **changes)
    return Outgoing(event.prediction_id.encode(), msgspec.json.encode(event))


def feedback(event: FeedbackEvent) -> Outgoing:
    return Outgoing(event.prediction_id.encode(), msgspec.json.encode(event))


def truth(i: int) -> str | None:
    """Return the last truth of a prediction: half of the rows have one, and a tenth is corrected."""
    return None if i % 2 else "goes" if i % 5 == 0 else "stays"


async def sent(settings: Settings) -> None:
    """Send predictions and feedback, with what does not count among them."""
    await ensure_topics(settings, [PREDICTIONS, FEEDBACK])
    async with Producer(settings) as producer:
        order = [(i * 7) % ROWS for i in range(ROWS)]
        await producer.send_many(PREDICTIONS, [prediction(i) for i in order])
        again = [prediction(i, features={"age": 99, "town": "Oulu"}) for i in range(0, ROWS, 9)]
        older = [prediction(i, prediction_id=f"old{i}", model_version="2") for i in range(50)]
        others = [prediction(i, prediction_id=f"other{i}", model="fraud") for i in range(50)]
        ahead = [prediction(0, prediction_id="ahead", timestamp=4e9)]
        broken = [Outgoing(b"broken", b"{"), Outgoing(b"k", prediction(1).value)]
        await producer.send_many(PREDICTIONS, again + older + others + ahead + broken)
        beat = msgspec.json.encode({"model": "churn", "model_version": "3", "timestamp": START})
        await producer.send(PREDICTIONS, b"beat", beat, headers=[HEARTBEAT])
        first = [(f"p{i}", "stays") for i in range(0, ROWS, 2)]
        last = [(f"p{i}", "goes") for i in range(0, ROWS, 10)]
        for given, model in ((first, None), (last, "churn"), ([("p2", "goes")], "fraud")):
            await producer.send_many(FEEDBACK, [
                feedback(FeedbackEvent(prediction_id=key, actual=actual, model=model)) for key, actual in given
            ])  # fmt: skip
    await transaction(settings, prediction(0))


async def transaction(settings: Settings, record: Outgoing) -> None:
    """Send a record in a transaction, so that a topic ends with a marker that no consumer gets."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers, transactional_id=settings.prefix, acks="all"
    )
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send(PREDICTIONS.full_name(settings.prefix), record.value, record.key)
    finally:
        await producer.stop()


def rows(chosen: range) -> pd.DataFrame:
    """Return rows as a file of a reference would have them."""
    return pd.DataFrame({
        "prediction_id": [f"p{i}" for i in chosen],
        "timestamp": [datetime.fromtimestamp(START + i * 60.0, UTC).isoformat() for i in chosen],
        "age": [features(i)["age"] for i in chosen],
        "town": [features(i)["town"] for i in chosen],
        "prediction": ["goes" if i % 4 == 0 else "stays" for i in chosen],
        "probability": [0.75 if i % 4 == 0 else 0.25 for i in chosen],
        "actual": pd.Series([truth(i) for i in chosen], dtype=object),
        "feedback_at": pd.Series([truth(i) and "2026-06-02T00:00:00+00:00" for i in chosen], dtype=object),
    })  # fmt: skip


def on_page() -> list[list[str]]:
    """Return the commands of the page that read the topic, as they are typed."""
    lines = re.findall(r"^driftline (register .*--from-topic.*)$", PAGE.read_text(), re.MULTILINE)
    return [shlex.split(line) for line in lines]


async def test_predictions_in_kafka_become_the_reference_that_the_same_rows_in_a_file_are(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = ("--bootstrap-servers", str(settings.bootstrap_servers), "--prefix", settings.prefix)
    status, _, err = await asyncio.to_thread(typed, *on_page()[0], *kafka)
    assert (status, "predictions does not exist: start a worker first" in err) == (2, True), err
    await sent(settings)
    newest, span = on_page()
    assert tuple(newest[newest.index("--last") :][:2]) == ("--last", "500")
    expected = {"4": rows(range(100, 600)), "5": rows(range(120, 480))}
    for step in (15.0, 0.001):  # one step back has them all, or many have to be taken
        monkeypatch.setattr(reading, "FIRST_STEP", step)
        for command in (newest, span):
            status, _, err = await asyncio.to_thread(typed, *command, *kafka)
            assert (status, "records cannot be read" in err) == (0, True), err
    async with ModelsTable(settings) as models:
        for version, frame in expected.items():
            found = models.get("churn", version)
            assert found is not None
            wanted = profile_of("churn", version, frame)
            assert (found.profile.n, found.profile.baseline) == (len(frame), wanted.baseline)
            assert found.profile == wanted
            assert 0.0 < wanted.baseline["accuracy"] < 1.0
    for words, wrong in (
        (("--version", "9", "--last", "10"), "no predictions of churn 9; it has versions 2, 3 of churn"),
        (("--version", "3", "--since", "2026-07-01T00:00:00Z"), "no predictions of churn 3 in that time"),
    ):
        status, _, err = await asyncio.to_thread(typed, "register", "--model", "churn", "--from-topic", *words, *kafka)
        assert (status, wrong in err) == (2, True), err
