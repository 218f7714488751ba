"""Columns that are dropped or hashed: nothing of them is in what any door sends to Kafka, nor in the registration."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from app.core.values.hiding import Hiding
from app.ingest.kserve import predictions_of
from app.offline.decision import decide
from app.registration.hidden_values import HidingError, hiding_with
from app.registration.monitoring import MonitoringError, MonitoringFile, monitoring_of
from app.registration.profiling import read_reference
from app.replay.check import check_files
from app.replay.encode import ReplayColumns
from tests.support.api_without_kafka import Api, cloud_event
from topics.events import Hidden, ModelEvent, PredictionEvent
from topics.inferences import REQUEST, RESPONSE, inference_of

KEY = "a key that nobody may know, of 32 bytes"
NAME, PHONE, CUSTOMER = "Aino Korhonen", "+358401234567", "C-0042"
SECRETS = (NAME, PHONE, CUSTOMER)
COLUMNS = {"redact": ["name", "phone"], "hash": ["customer"], "categorical": ["customer"]}
FEATURES = {"name": NAME, "age": 41.5, "customer": CUSTOMER, "town": "Oulu"}
METADATA = {"phone": PHONE, "customer": CUSTOMER, "shop": "7"}
HASHED = "h" + hmac.new(KEY.encode(), CUSTOMER.encode(), hashlib.sha256).hexdigest()[:32]


def table() -> pd.DataFrame:
    n = 60
    return pd.DataFrame({
        "name": [NAME, "x"] * 30, "age": np.arange(n) / 7, "customer": [CUSTOMER, "C-7", None] * 20,
        "town": ["Oulu", "Turku"] * 30, "prediction": [0, 1] * 30,
    })  # fmt: skip


def registered(**columns: Any) -> ModelEvent:

    file = monitoring_of({"columns": {**COLUMNS, **columns}})
    found = read_reference("m", "1", table(), file, key=KEY.encode())
    return ModelEvent(
        model="m", model_version="1", profile=msgspec.Raw(msgspec.json.encode(found.profile)),
        monitoring=msgspec.Raw(msgspec.json.encode(file.monitoring)), registered_at=datetime.now(UTC),
        hidden=found.hidden,
    )  # fmt: skip


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("DRIFTLINE_HASH_KEY", KEY)
    found = Api(tmp_path)
    found.services.models._take(b"m/1", msgspec.json.encode(registered()), 0)
    yield found
    found.close()


def test_a_registration_has_nothing_of_what_is_hidden() -> None:
    event = registered()
    raw = msgspec.json.encode(event).decode()
    assert all(secret not in raw for secret in SECRETS)
    assert HASHED in raw
    assert event.hidden is not None
    assert event.hidden.order == ("name", "age", "customer", "town")
    profile = json.loads(bytes(event.profile))
    assert [column["name"] for column in profile["features"]] == ["age", "customer", "town"]
    listed = registered(features=["town", "name", "customer"])
    assert listed.hidden is not None
    assert listed.hidden.order == ("town", "name", "customer")


@pytest.mark.parametrize("version", ["1", "2"])
def test_no_door_lets_it_through(api: Api, version: str) -> None:
    """A version that is not registered hides what the others do."""
    made = {"prediction_id": "p", "model": "m", "model_version": version, "features": FEATURES, "prediction": 1,
            "metadata": METADATA}  # fmt: skip
    truth = {"prediction_id": "p", "actual": 1, "metadata": METADATA}
    batch = "application/cloudevents-batch+json"
    for path, body, kind in (
        ("/predictions", [made], "application/json"),
        ("/predictions", [cloud_event(0, made)], batch),
        ("/feedback", [truth, {**truth, "model": "m"}], "application/json"),
        ("/feedback", [cloud_event(0, truth)], batch),
    ):
        records = api.post(path, json.dumps(body).encode(), kind)
        assert records, api.told
        for record in records:
            raw = (record.value or b"").decode()
            assert all(secret not in raw for secret in SECRETS), raw
            event = json.loads(raw)
            assert event["metadata"] == {"customer": HASHED, "shop": "7"}
            assert event.get("features", {}) in ({}, {"age": 41.5, "customer": HASHED, "town": "Oulu"})


NAMED = [{"name": name, "shape": [1], "datatype": "BYTES", "data": [value]} for name, value in FEATURES.items()]
BY_PLACE = [{"name": "input", "shape": [2, 4], "datatype": "BYTES", "data": [*FEATURES.values()] * 2}]
ROW = list(FEATURES.values())


@pytest.mark.parametrize(
    ("payload", "n"),
    [
        ({"instances": [FEATURES], "parameters": {"who": NAME}}, 1),
        ({"instances": [ROW, ROW]}, 2),
        ({"inputs": NAMED, "id": NAME}, 1),
        ({"inputs": BY_PLACE}, 2),
        ({"inputs": [{**BY_PLACE[0], "data": [ROW, ROW]}]}, 2),
    ],
)
def test_payloads_of_kserve_are_hidden_and_read_as_before(api: Api, payload: dict[str, object], n: int) -> None:
    answered = {"predictions": [{"prediction": 1, "name": NAME}] * n, "echo": PHONE}
    halves = []
    for kind, data in ((REQUEST, payload), (RESPONSE, answered)):
        event = {"specversion": "1.0", "id": "p", "source": "s", "type": kind, "data": data}
        body, named = json.dumps(event).encode(), "/predictions?model=m&model_version=1"
        (record,) = api.post(named, body, "application/cloudevents+json")
        assert all(secret not in str(record.value) for secret in SECRETS), record.value
        halves.append((inference_of(record.headers), record.value or b""))
    made = predictions_of(halves[0], halves[1], lambda *_: ("age", "customer", "town"), 1.7e9)
    assert [one.features for one in made] == [{"age": 41.5, "customer": HASHED, "town": "Oulu"}] * n


def test_values_by_place_of_a_model_that_is_not_named_are_refused(api: Api) -> None:
    event = {"specversion": "1.0", "id": "p", "source": "s", "type": REQUEST, "data": {"instances": [ROW]}}
    assert api.post("/predictions", json.dumps(event).encode(), "application/cloudevents+json") == []
    assert "name model and version in the logger's URL" in api.told
    event["data"] = {"instances": [FEATURES]}
    (record,) = api.post("/predictions", json.dumps(event).encode(), "application/cloudevents+json")
    assert all(secret not in str(record.value) for secret in SECRETS)


def test_without_the_key_nothing_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    made = {"model": "m", "model_version": "1", "features": FEATURES, "prediction": 1}
    for key, words in ((None, "is not set here"), ("another key of 16 characters", "is another one")):
        monkeypatch.delenv("DRIFTLINE_HASH_KEY")
        if key is not None:
            monkeypatch.setenv("DRIFTLINE_HASH_KEY", key)
        other = Api(tmp_path / words)
        other.services.models._take(b"m/1", msgspec.json.encode(registered()), 0)
        assert other.post("/predictions", json.dumps(made).encode()) == []
        assert words in other.told
        other.services.hider.is_loaded = False  # the registrations are still being read
        answer = other.runner.run(other.client.post("/predictions", json=made))
        assert (answer.status_code, other.kafka.sent) == (503, [])
        other.close()
        monkeypatch.setenv("DRIFTLINE_HASH_KEY", KEY)
    with pytest.raises(MonitoringError, match="DRIFTLINE_HASH_KEY_FILE"):
        read_reference("m", "1", table(), monitoring_of({"columns": COLUMNS}))
    with pytest.raises(HidingError, match="is not set here"):
        hiding_with(Hidden(hash=("customer",), key_check="x"), None)


@pytest.mark.parametrize("events", [False, True])
def test_a_replay_hides_it(tmp_path: Path, events: bool) -> None:
    hiding = Hiding(frozenset(COLUMNS["redact"]), frozenset(COLUMNS["hash"]), KEY.encode())
    row: dict[str, Any] = {"prediction_id": "p", "timestamp": 1.7e9, "prediction": 1, **FEATURES}
    if events:
        row = {"prediction_id": "p", "model": "m", "model_version": "1", "timestamp": 1.7e9, "prediction": 1,
               "features": FEATURES, "metadata": METADATA}  # fmt: skip
    path = tmp_path / "predictions.jsonl"
    path.write_text(json.dumps(row))
    columns = ReplayColumns(features=("age", "customer", "town"), probability=None, hiding=hiding)
    (chunk,) = check_files(path, None, columns, ("m", "1"), 86_400.0).predictions.chunks()
    event = msgspec.json.decode(chunk.values[0], type=PredictionEvent)
    assert event.features == {"age": 41.5, "customer": HASHED, "town": "Oulu"}
    assert event.metadata == ({"customer": HASHED, "shop": "7"} if events else None)


def test_a_check_judges_what_the_stream_would() -> None:
    file = monitoring_of({"columns": COLUMNS})
    found = decide(table(), table(), file)
    assert [one.name for one in found.drift.features] == ["age", "customer", "town"]
    assert not found.drifted
    assert found.reference is not None
    plain = decide(table(), table(), MonitoringFile())
    assert "name" in [one.name for one in plain.drift.features]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"redact": ["prediction"], "prediction": "prediction"}, "is columns.prediction, which is needed"),
        ({"hash": ["age"], "numeric": ["age"]}, "age is listed under columns.numeric"),
        ({"hash": ["age"], "redact": ["age"]}, "age is listed under columns.redact too"),
    ],
)
def test_what_cannot_be_hidden_is_refused(columns: dict[str, object], words: str) -> None:
    with pytest.raises(MonitoringError, match=words):
        monitoring_of({"columns": columns})


def test_one_value_has_one_hash_and_a_missing_one_has_none() -> None:
    hiding = Hiding(frozenset(), frozenset("x"), b"k" * 16)
    assert hiding.value(7) == hiding.value(7.0) == hiding.value("7")
    assert hiding.value("Ko\u0308ln") == hiding.value("Köln") != hiding.value("Koln")
    assert [hiding.value(value) for value in (None, "", float("nan"))] == [None] * 3
    assert hiding.value("\ud800") is not None
    assert Hiding(frozenset(), frozenset("x"), b"other").value(7) != hiding.value(7)
