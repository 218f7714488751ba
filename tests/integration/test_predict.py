"""POST /predict with a real Kafka: what is answered is in the log, once, and a repeat gets the same answer."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pandas as pd
import pytest
from pydantic import SecretStr

from app.core.values.hiding import Hiding, check_of
from app.serving.bundle import FEATURES, MODEL, TRAINING
from app.settings.settings import Settings
from tests.support.api import client_of, ready, services_of
from tests.support.kafka_topics import records_of
from tests.support.served_model import OLD, TRUTH, YOUNG, save_model, serving_of
from topics.events import Hidden, ModelEvent, PredictionEvent
from topics.registry import MODELS, PREDICTIONS, SERVED


@pytest.fixture
async def serving(settings: Settings, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving_of(settings, save_model(tmp_path / "model")) as found:
        yield found


async def events_of(settings: Settings) -> list[PredictionEvent]:
    return [msgspec.json.decode(r.value, type=PredictionEvent) for r in await records_of(settings, PREDICTIONS)]


async def test_a_served_prediction_is_in_kafka_as_it_was_answered(
    serving: httpx.AsyncClient, settings: Settings
) -> None:
    answer = await serving.post("/predict", json={"features": OLD, "request_id": "order-1"})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["prediction"], told["prediction_label"], told["prediction_id"]) == (1, "leaves", "order-1")
    for request in ({"request_id": "order-1"}, {}):
        assert '"prediction":1,' in (await serving.post("/predict", json={"features": OLD, **request})).text  # not 1.0
    assert (told["model"], told["model_version"]) == ("churn", "3")
    record = next(one for one in await records_of(settings, PREDICTIONS) if one.key == b"order-1")
    event = msgspec.json.decode(record.value, type=PredictionEvent)
    assert (event.features, event.prediction, event.probability) == (OLD, 1, told["probability"])
    assert event.timestamp == datetime.fromisoformat(told["timestamp"])
    assert event.metadata is None


async def test_time_and_metadata_of_the_caller_are_in_the_prediction_and_a_repeat_is_the_same(
    serving: httpx.AsyncClient, settings: Settings
) -> None:
    then, metadata = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC), {"customer": "c-7", "tries": 2}
    request = {"features": OLD, "request_id": "order-1", "timestamp": then.isoformat(), "metadata": metadata}
    told = (await serving.post("/predict", json=request)).json()
    assert datetime.fromisoformat(told["timestamp"]) == then
    later = {**request, "timestamp": then.timestamp() + 60}
    assert (await serving.post("/predict", json=later)).json() == told
    listed = (await serving.post("/predict", json=[{"features": OLD, "timestamp": then.timestamp()}])).json()
    assert datetime.fromisoformat(listed[0]["timestamp"]) == pytest.approx(then, abs=timedelta(milliseconds=1))
    events = [event for event in await events_of(settings) if event.prediction_id == "order-1"]
    assert [(event.timestamp, event.metadata) for event in events] == [(then, metadata)] * 2
    answer = await serving.post("/predict", json={"features": OLD, "timestamp": then.timestamp() * 1000})
    assert (answer.status_code, answer.json()["detail"][:10]) == (422, "timestamp:")


async def test_a_served_model_predicts_from_what_is_hidden_from_kafka(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a key that nobody may know, of 32 bytes"
    monkeypatch.setenv("DRIFTLINE_HASH_KEY", key)
    hidden = Hidden(redact=("plan", "name"), hash=("age",), key_check=check_of(key.encode()))
    profile = msgspec.Raw(b'{"task":"binary","features":[],"n":1}')
    monitoring = msgspec.Raw(b'{"windows":{"pane":60,"panes":60}}')
    known = ModelEvent(model="churn", model_version="3", profile=profile, monitoring=monitoring, hidden=hidden,
                       registered_at=datetime(2026, 1, 1, tzinfo=UTC))  # fmt: skip
    keyed = settings.model_copy(update={"hash_key": SecretStr(key), "serving_extra_features": "ignore"})
    async with serving_of(keyed, save_model(tmp_path / "model")) as serving:
        services = services_of(serving)
        await services.producer.send(MODELS, b"churn/3", msgspec.json.encode(known))
        await services.models.catch_up()
        metadata = {"name": "Ada", "shop": "north"}
        extra = {"features": {**OLD, "shoe": 43}, "request_id": "r1", "metadata": metadata}  # shoe is left out
        asked = (extra, {"features": YOUNG, "metadata": metadata})
        answers = [(await serving.post("/predict", json=one)).json() for one in asked]
        assert (await serving.post("/predict", json={**extra, "features": OLD})).json() == answers[0]
        incomplete = await serving.post("/predict", json={"features": {"age": 70, "shoe": 43}})
        assert (incomplete.status_code, incomplete.json()["missing_features"]) == (400, ["plan"])
    assert [one["prediction_label"] for one in answers] == ["leaves", "stays"]
    assert [event.metadata for event in await events_of(settings)] == [{"shop": "north"}] * 3
    events = {event.prediction_id: event.features for event in await events_of(settings)}
    hiding = Hiding(frozenset(), frozenset(), key.encode())
    assert [events[one["prediction_id"]] for one in answers] == [{"age": hiding.value(age)} for age in (70, 20)]


async def test_a_list_is_answered_in_its_order_and_without_ids_each_gets_its_own(
    serving: httpx.AsyncClient, settings: Settings
) -> None:
    rows = [OLD if i % 3 == 0 else YOUNG for i in range(100)]
    answer = await serving.post("/predict", json=[{"features": row} for row in rows])
    assert answer.status_code == 200
    told = answer.json()
    assert [one["prediction_label"] for one in told] == ["leaves" if row is OLD else "stays" for row in rows]
    events = {event.prediction_id: event for event in await events_of(settings)}
    assert len(events) == 100
    assert [events[one["prediction_id"]].features for one in told] == rows
    lines = "\n".join(json.dumps({"features": row}) for row in rows[:2])
    answer = await serving.post("/predict", content=lines, headers={"content-type": "application/x-ndjson"})
    assert [one["prediction_label"] for one in answer.json()] == ["leaves", "stays"]


async def test_a_repeat_gets_the_same_answer_even_after_a_restart_with_another_model(
    settings: Settings, tmp_path: Path
) -> None:
    request = {"features": OLD, "request_id": "order-1"}
    async with serving_of(settings, save_model(tmp_path / "3")) as first:
        told = (await first.post("/predict", json=request)).json()
        assert (await first.post("/predict", json=request)).json() == told
    async with serving_of(settings, save_model(tmp_path / "4", version="4", truth=1 - TRUTH)) as second:
        assert (await second.post("/predict", json=request)).json() == told
        new = (await second.post("/predict", json=[request, {"features": OLD, "request_id": "order-2"}])).json()
    assert new[0] == told
    assert (new[1]["prediction"], new[1]["model_version"]) == (0, "4")
    events = await events_of(settings)
    assert {event.prediction_id for event in events} == {"order-1", "order-2"}
    assert len({msgspec.json.encode(event) for event in events}) == 2  # a repeat is no second prediction


async def test_of_many_at_once_one_is_the_first_in_every_api(settings: Settings, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    request = {"features": OLD, "request_id": "order-1"}
    async with serving_of(settings, folder) as one, serving_of(settings, folder) as other:
        answers = await asyncio.gather(*(client.post("/predict", json=request) for client in [one, other] * 4))
    assert len({answer.content for answer in answers}) == 1
    assert len({msgspec.json.encode(event) for event in await events_of(settings)}) == 1
    assert len(await records_of(settings, SERVED)) > 1  # they did race


async def test_an_id_that_was_used_for_other_features_is_refused(
    serving: httpx.AsyncClient, settings: Settings
) -> None:
    assert (await serving.post("/predict", json={"features": OLD, "request_id": "a"})).status_code == 200
    again = {"features": dict(reversed(OLD.items())), "request_id": "a"}
    assert (await serving.post("/predict", json=again)).status_code == 200
    answer = await serving.post("/predict", json=[{"features": OLD}, {"features": YOUNG, "request_id": "a"}])
    assert (answer.status_code, answer.json()["index"]) == (409, 1)
    assert "request_id 'a' was used for other features" in answer.json()["detail"]
    twice = [{"features": row, "request_id": "b"} for row in (OLD, YOUNG)]
    answer = await serving.post("/predict", json=twice)
    assert (answer.status_code, answer.json()["index"]) == (409, 1)


async def test_an_id_is_free_while_nothing_was_predicted_under_it(
    serving: httpx.AsyncClient, settings: Settings
) -> None:
    refused: list[tuple[Any, int]] = [
        ([{"features": OLD, "request_id": "a"}, {"features": YOUNG, "request_id": "a"}], 409),
        ({"features": {"age": 1, "plan": "never seen, so that the encoder fails"}, "request_id": "a"}, 500),
        ({"features": OLD, "request_id": "a", "metadata": {"note": "x" * PREDICTIONS.max_message_bytes}}, 413),
    ]
    for request, status in refused:
        assert (await serving.post("/predict", json=request)).status_code == status
    assert await records_of(settings, SERVED) == []
    assert (await serving.post("/predict", json={"features": YOUNG, "request_id": "a"})).status_code == 200
    (event,) = await events_of(settings)
    assert event.features == YOUNG


async def test_all_that_is_wrong_is_named_and_of_a_list_with_a_fault_nothing_is_predicted(
    serving: httpx.AsyncClient, settings: Settings
) -> None:
    answer = await serving.post("/predict", content=b" ")
    assert (answer.status_code, answer.json()["detail"]) == (400, "the body is empty")
    answer = await serving.post("/predict", json={"features": {"colour": "red"}})
    assert answer.status_code == 400
    assert answer.json()["missing_features"] == ["age", "plan"]
    assert answer.json()["detail"] == "missing features: age, plan"
    answer = await serving.post("/predict", json={"features": {"age": "old", "plan": "gold", "colour": "red"}})
    assert (answer.status_code, answer.json()["errors"]) == (
        422, {"age": "expected a number, got a text", "colour": "the model has no such feature"},
    )  # fmt: skip
    answer = await serving.post("/predict", json={"features": {"age": [1], "plan": {"name": "gold"}}})
    assert answer.status_code == 422
    nested = "got an object; send its fields as features of their own"
    assert answer.json()["detail"] == f"age: expected one value, got a list; plan: expected one value, {nested}"
    answer = await serving.post("/predict", json=[{"features": OLD}, {"features": {"age": 1, "plan": ["s3cret"]}}])
    assert answer.json()["rejected"] == [{"index": 1, "error": "plan: expected one value, got a list"}]
    for number in (2**53 + 1, 10**400):
        answer = await serving.post("/predict", json={"features": {**OLD, "age": number}})
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["age"])
    answer = await serving.post("/predict", content='{"features": {"age": 1e999, "plan": "gold"}}')
    assert answer.json()["detail"] == "age: expected one value, got a number that no float holds"

    with_faults: list[tuple[list[Any], int, list[int]]] = [
        ([{"features": {}}], 400, [1]),
        ([{"features": {**OLD, "age": "old"}}], 422, [1]),
        ([{"features": {**OLD, "age": "old"}}, {"features": {}}], 400, [1, 2]),
        ([{"features": 1}], 422, [1]),
    ]
    for bad, status, indices in with_faults:
        answer = await serving.post("/predict", json=[{"features": OLD, "request_id": "a"}, *bad, {"features": OLD}])
        assert answer.status_code == status
        assert [one["index"] for one in answer.json()["rejected"]] == indices
    assert await records_of(settings, PREDICTIONS) == []
    assert await records_of(settings, SERVED) == []


async def test_a_slow_model_keeps_nobody_else_waiting(
    serving: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = services_of(serving).bundle
    assert bundle is not None
    entered, release = threading.Event(), threading.Event()
    predict = bundle.estimator.predict

    def slow(frame: pd.DataFrame) -> object:
        entered.set()
        assert release.wait(20)
        return predict(frame)

    monkeypatch.setattr(bundle.estimator, "predict", slow)
    waiting = asyncio.create_task(serving.post("/predict", json={"features": OLD}))
    assert await asyncio.to_thread(entered.wait, 20)
    assert (await serving.get("/health")).status_code == 200
    services = services_of(serving)
    services.settings = services.settings.model_copy(update={"predict_seconds": 0.1})
    late = await serving.post("/predict", json={"features": OLD, "request_id": "late"})
    assert (late.status_code, late.headers["retry-after"]) == (503, "5")
    assert late.json()["detail"] == "the model has not answered within 0.1 s (predict_seconds)"
    assert not waiting.done()
    release.set()
    assert (await waiting).status_code == 200
    assert len(await records_of(settings, PREDICTIONS)) == 1
    services.settings = settings
    again = await serving.post("/predict", json={"features": YOUNG, "request_id": "late"})
    assert (again.status_code, again.json()["prediction_label"]) == (200, "stays")


async def test_who_serves_is_told_with_what_is_to_be_known_of_it(
    serving: httpx.AsyncClient, settings: Settings, tmp_path: Path
) -> None:
    told = (await serving.get("/")).json()
    assert (told["model"], told["model_version"], told["model_type"]) == ("churn", "3", "LogisticRegression")
    assert told["cautions"] == []
    assert (await serving.get("/health")).json() == {"status": "healthy"}
    given = json.loads((tmp_path / "model" / TRAINING).read_text())
    del given["sha256"]
    (tmp_path / "model" / TRAINING).write_text(json.dumps(given))
    assert {path.name for path in (tmp_path / "model").iterdir()} == {MODEL, FEATURES, TRAINING}
    async with serving_of(settings, tmp_path / "model") as unchecked:
        (caution,) = (await unchecked.get("/")).json()["cautions"]
    assert "names no sha256" in caution


async def test_without_a_model_predict_says_how_to_get_one(settings: Settings) -> None:
    async with client_of(settings) as client:
        await ready(client)
        answer = await client.post("/predict", json={"features": {}})
        assert answer.status_code == 503
        assert "--model-path" in answer.json()["detail"]
        assert (await client.get("/")).json()["model"] is None
