"""`register --learn`: the first predictions become the reference, once, though the worker is killed meanwhile."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec
import pandas as pd

from app.kafka.producer import Outgoing, Producer
from app.kafka.topics import ensure_topics
from app.registration.models_table import decoded
from app.registration.profiling import profile_of
from app.settings.settings import Settings
from tests.support.api import client_of, ready
from tests.support.kafka_topics import records_of
from tests.support.run_command import typed
from tests.support.stream import START, frame, worker
from tests.support.worker_process import log_of, quick
from topics.events import AuditEvent, FeedbackEvent, ModelEvent, PredictionEvent, from_epoch
from topics.registry import AUDIT, DEAD_LETTERS, FEEDBACK, MODELS, PREDICTIONS, TOPICS

PAGE = Path("docs/how-to/no-reference.md")
LEARNED, SENT_FIRST = 300, 200
ROWS = frame(600)


async def sent(settings: Settings, chosen: Sequence[int], *, truth: bool = False) -> None:
    """Send predictions of rows, in their order, and their truth."""
    rows = ROWS.to_dict("records")
    async with Producer(settings) as producer:
        await producer.send_many(PREDICTIONS, [
            Outgoing(f"p{i:03}".encode(), msgspec.json.encode(PredictionEvent(
                prediction_id=f"p{i:03}", model="churn", model_version="3", timestamp=START + i,
                features={"size": rows[i]["size"], "colour": rows[i]["colour"]},
                prediction=rows[i]["prediction"], probability=rows[i]["probability"],
            )))
            for i in chosen
        ])  # fmt: skip
        await producer.send_many(FEEDBACK, [
            Outgoing(f"p{i:03}".encode(), msgspec.json.encode(FeedbackEvent(
                prediction_id=f"p{i:03}", actual=rows[i]["target"]
            )))
            for i in chosen if truth
        ])  # fmt: skip


def expected() -> pd.DataFrame:
    """Return the learned rows as a file would have them; only those that were sent first have their truth."""
    rows = ROWS[:LEARNED]
    known = rows.index < SENT_FIRST
    return pd.DataFrame({
        "prediction_id": [f"p{i:03}" for i in rows.index],
        "timestamp": [from_epoch(START + i).isoformat() for i in rows.index],
        "size": rows["size"], "colour": rows["colour"], "prediction": rows["prediction"],
        "probability": rows["probability"], "actual": rows["target"].where(known, None),
        "feedback_at": pd.Series([START] * LEARNED).map(lambda at: from_epoch(at).isoformat()).where(known, None),
    })  # fmt: skip


def on_page() -> list[str]:
    """Return the command of the page, as it is typed."""
    (line,) = re.findall(r"^driftline (register .*--learn 10000)$", PAGE.read_text(), re.MULTILINE)
    return shlex.split(line)


async def shown(client: httpx.AsyncClient, state: str) -> dict[str, object]:
    """Return the version as the API shows it, once it has a state (and has seen what was sent first)."""
    async with asyncio.timeout(120):
        while True:
            response = await client.get("/models/churn/3")
            if response.status_code == 200:
                found: dict[str, object] = response.json()
                learning = found["learning"]
                if found["state"] == state and (not isinstance(learning, dict) or learning["seen"] == SENT_FIRST):
                    return found
            await asyncio.sleep(0.05)


async def test_the_first_predictions_become_the_reference_once(settings: Settings) -> None:
    settings = quick(settings)
    kafka = ("--bootstrap-servers", str(settings.bootstrap_servers), "--prefix", settings.prefix)
    command = [*on_page()[:-1], str(LEARNED), *kafka]
    await ensure_topics(settings, TOPICS)
    status, out, err = await asyncio.to_thread(typed, *command)
    assert (status, "its next 300 predictions become its reference" in out) == (0, True), err
    async with client_of(settings) as client:
        await ready(client)
        with worker(settings, "killed") as process:
            await sent(settings, range(SENT_FIRST), truth=True)
            found = await shown(client, "learning")
            assert found["not_judged"] == "it learns its reference: 200 of 300 predictions have come"
            listed = (await client.get("/models")).json()["models"]
            late = {
                "prediction_id": "p000",
                "model": "churn",
                "model_version": "3",
                "timestamp": START,
                "features": {"size": 1.0},
                "prediction": "1",
            }
            response = await client.post("/predictions", json=[late, late | {"model": "other"}])
            lines = ["other 3 is not registered, so 1 event is not counted until it is"]
            assert response.json() == {"accepted": 2, "rejected": [], "unregistered": 1, "warnings": lines}
            missing = await client.get("/models/churn/versions/3")
            assert (missing.status_code, "not registered yet: it learns its reference" in missing.text) == (404, True)
            assert [(one["model"], one["state"]) for one in listed] == [("churn", "learning")]
            status, out, err = await asyncio.to_thread(typed, "top", "--json", *kafka)
            assert (status, json.loads(out)["models"][0]["state"]) == (0, "learning"), err
            status, _, err = await asyncio.to_thread(typed, "reports", "--model", "churn", *kafka)
            assert (status, "churn 3: it learns its reference: 200 of 300" in err) == (0, True), err
            process.kill()
        assert await records_of(settings, MODELS) == []
        await sent(settings, range(SENT_FIRST, LEARNED))
        await asyncio.sleep(0.01)  # the broker's times are in milliseconds
        await sent(settings, range(LEARNED, LEARNED + 200))
        with worker(settings, "last"):
            await shown(client, "waiting")
            await sent(settings, range(LEARNED + 200, 600))
            (record,) = await records_of(settings, MODELS)
            async with asyncio.timeout(60):
                letters = await records_of(settings, DEAD_LETTERS)
                while not letters:
                    letters = await records_of(settings, DEAD_LETTERS)
    registered = decoded(msgspec.json.decode(record.value, type=ModelEvent))
    wanted = profile_of("churn", "3", expected())
    assert (registered.profile.n, registered.profile.baseline) == (LEARNED, wanted.baseline), log_of(settings)
    assert registered.profile == wanted
    assert [b'"model":"other"' in letter.value for letter in letters] == [True]
    audited = [msgspec.json.decode(one.value, type=AuditEvent) for one in await records_of(settings, AUDIT)]
    assert [one.action for one in audited] == ["model.learning", "model.registered"]
    assert audited[1].detail["learned"] == "true"
    status, _, err = await asyncio.to_thread(typed, *command)
    assert (status, "churn 3 is registered already" in err) == (2, True), err
