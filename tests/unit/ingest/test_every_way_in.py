"""Whatever a door accepts, every reader takes: HTTP, CloudEvents, KServe, the client and files, and awkward values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.inferences.halves import Paired, events_of, half_of
from app.access import KeyFile
from app.core.config.monitoring import Windows
from app.core.join.inference_pairs import Half, Pair
from app.core.join.state import CompiledModel
from app.history.event_rows import entries_of
from app.ingest.decoding import UNREGISTERED
from app.ingest.feedback import feedback_batch
from app.ingest.kserve import InferenceError
from app.ingest.predictions import PredictionColumns, heads_of
from app.registration.monitoring import MonitoringFile
from app.registration.profiling import profile_of
from app.replay.check import check_files
from app.replay.encode import ReplayColumns, ReplayError
from app.tables import TableError
from driftline.encoding import encoded as client_event
from driftline.losses import InvalidEvent
from tests.support.api_without_kafka import Api, cloud_event
from tests.support.reports import StubRecord
from topics.inferences import REQUEST, RESPONSE
from topics.registry import FEEDBACK, PREDICTIONS

VERSION = ("m", "1")
WATCHED = CompiledModel(
    profile_of(*VERSION, pd.DataFrame({
        "amount": np.arange(60) / 7, "city": ["a", "b"] * 30, "prediction": [0, 1] * 30,
        "probability": [0.25, 0.75] * 30,
    }), MonitoringFile()), Windows(),
)  # fmt: skip

LONG = "\u0958" * 150
"""150 characters, of which Unicode NFC makes 300."""
END = 4_102_444_800.0
WORDS = st.sampled_from(
    ["a", "", LONG, "x" * 200, "x" * 201, "a\x00b", "\ud800", "a\nb", 'say "x"', "Köln", "Ko\u0308ln"]
)
NUMBERS = st.sampled_from([0, -0.0, 7.0, 1.5, 1e300, 10**250, 10**30, -1, True, False])
TIMES = st.one_of(
    st.sampled_from([
        END, np.nextafter(END, 0), END - 1e-6, END - 0.5, 0, -0.0, -1e-9, 1e12, 10**30, "2100-01-01T00:00:00Z",
        "2099-12-31T23:59:59.9999999Z", "2099-12-31T23:59:59.999999Z", "1970-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00", None,
    ]),
    st.floats(-1e3, 5e9),
)  # fmt: skip
SCALARS = st.one_of(WORDS, NUMBERS, st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers())
ROWS = st.dictionaries(st.one_of(st.sampled_from(["amount", "city", "other"]), WORDS), SCALARS, max_size=4)
PROBABILITIES = st.one_of(
    st.floats(-0.5, 1.5),
    st.none(),
    st.sampled_from([0, 1, 2, True]),
    st.dictionaries(WORDS, st.floats(-0.5, 1.5), max_size=2),
)  # fmt: skip


def mostly(sound: object, awkward: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Sound in most cases, so that events with one awkward value are frequent."""
    return st.integers(0, 4).flatmap(lambda which: awkward if which == 0 else st.just(sound))


MADE = st.fixed_dictionaries({
    "prediction_id": mostly("p", WORDS | NUMBERS), "model": mostly("m", WORDS), "model_version": mostly("1", WORDS),
    "timestamp": mostly(1.7e9, TIMES), "features": mostly({"amount": 1.5, "city": "a"}, ROWS),
    "prediction": mostly(1, SCALARS), "probability": mostly(0.5, PROBABILITIES), "metadata": mostly(None, ROWS),
})  # fmt: skip
TRUTHS = st.fixed_dictionaries({
    "prediction_id": mostly("p", WORDS | NUMBERS), "actual": mostly(1, SCALARS), "timestamp": mostly(None, TIMES),
    "metadata": mostly(None, ROWS),
})  # fmt: skip
ONLY_A_PAIR = r"^predictions: \d+ for \d+ instances$|missing; name it|values? without names"
"""What no half shows alone: other numbers of rows, a model that neither names, values by place of an unknown model."""
FEW = settings(max_examples=40, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    found = Api(tmp_path_factory.mktemp("state"))
    yield found
    found.close()


def check_predictions(records: Sequence[StubRecord]) -> None:
    """Every reader of predictions takes all of them: the join, twice as it learns, and the history."""
    columns = PredictionColumns([WATCHED], lambda *version: 0 if version == VERSION else None)
    for _ in range(2):
        _, rejected, _ = columns.batch(heads_of(records, columns.expected))
        assert [one.reason for one in rejected if not one.reason.startswith(UNREGISTERED)] == []
    assert [one.reason for one in entries_of(PREDICTIONS, records)[1]] == []
    assert len(entries_of(PREDICTIONS, records)[0]) == len(records)


def check_feedback(records: Sequence[StubRecord]) -> None:
    """The same of feedback."""
    assert [one.reason for one in feedback_batch(records)[1]] == []
    entries, rejected = entries_of(FEEDBACK, records)
    assert ([one.reason for one in rejected], len(entries)) == ([], len(records))


@pytest.mark.parametrize(
    ("body", "kind", "status", "detail"),
    [
        ({"prediction_id": "p"}, "application/json", 400, "actual: missing"),
        ({}, "application/json", 400, "prediction_id: missing; actual: missing"),
        ({"prediction_id": "p", "actual": None}, "application/json", 422, "actual: expected"),
        ({"prediction_id": [], "actual": 1}, "application/json", 422, "prediction_id: expected"),
        ([{"actual": 1}, {"prediction_id": "p", "actual": {}}], "application/json", 400, "the first: prediction_id: m"),
        ([{"prediction_id": "p", "actual": {}}, {"actual": 1}], "application/json", 422, "the first: actual: expected"),
        ({"actual": 1}, "cloud event", 400, "data: prediction_id: missing"),
        ("actual", "application/json", 422, "expected `object`, got `str`"),
        (b'[{"actual": 1} x]', "application/json", 400, "not JSON: "),
        (b'{"actual": 1}\n{"actual": 1} x', "application/x-ndjson", 400, "the first: prediction_id: missing"),
        (b'{"actual": 1} x\n{"actual": 1}', "application/x-ndjson", 422, "the first: not JSON: "),
        (b'{"actual": 1}\n{"prediction_id": "\xff"}', "application/x-ndjson", 400, "the first: prediction_id: missing"),
        (b'{"model": "\xff"}\n{"actual": 1}', "application/x-ndjson", 422, "the first: "),
    ],
)
def test_feedback_that_lacks_a_field_is_400_and_names_it(
    api: Api, body: object, kind: str, status: int, detail: str
) -> None:
    if kind == "cloud event":
        body, kind = cloud_event(0, body), "application/cloudevents+json"
    assert api.post("/feedback", body if isinstance(body, bytes) else json.dumps(body).encode(), kind) == []
    told = json.loads(api.told)
    assert told["status"] == status
    assert detail.replace("`", "") in told["detail"]
    assert all(set(one) == {"index", "error"} for one in told.get("rejected", ()))


@FEW
@given(st.lists(MADE, min_size=1, max_size=4))
def test_predictions_over_http_and_as_cloud_events(api: Api, events: list[dict[str, object]]) -> None:
    check_predictions(api.post("/predictions", json.dumps(events).encode()))
    wrapped = [cloud_event(i, event) for i, event in enumerate(events)]
    check_predictions(api.post("/predictions", json.dumps(wrapped).encode(), kind="application/cloudevents-batch+json"))


@FEW
@given(st.lists(TRUTHS, min_size=1, max_size=4))
def test_feedback_over_http_and_as_cloud_events(api: Api, events: list[dict[str, object]]) -> None:
    check_feedback(api.post("/feedback", json.dumps(events).encode()))
    wrapped = [cloud_event(i, event) for i, event in enumerate(events)]
    check_feedback(api.post("/feedback", json.dumps(wrapped).encode(), kind="application/cloudevents-batch+json"))


@FEW
@given(
    mostly("p", WORDS), mostly("m", WORDS), mostly("1", WORDS), mostly("2026-01-01T00:00:00Z", TIMES),
    mostly({"amount": 1.5}, ROWS), mostly({"prediction": 1}, st.fixed_dictionaries({
        "prediction": SCALARS, "probability": PROBABILITIES})), st.sampled_from([1, 2]), st.sampled_from([1, 2]),
)  # fmt: skip
def test_halves_of_kserve_and_the_predictions_that_workers_make_of_them(
    api: Api, event_id: str, model: str, version: str, time: object, row: object, said: dict[str, Any], n: int,
    protocol: int,
) -> None:  # fmt: skip
    asked = {"model": model.replace("\ud800", "?"), "model_version": version.replace("\ud800", "?")}
    url = str(httpx.URL("/predictions", params=asked))
    found: list[Half[Paired]] = []
    payloads: list[dict[str, object]] = [{"instances": [row] * n}, {"predictions": [said] * n}]
    if protocol == 2 and isinstance(row, dict):
        payloads = [
            {"inputs": [{"name": name, "shape": [n], "data": [value] * n} for name, value in row.items()]},
            {"outputs": [{"name": name, "shape": [n], "data": [value] * n} for name, value in said.items()]},
        ]
    for kind, data in zip((REQUEST, RESPONSE), payloads, strict=True):
        event = {"specversion": "1.0", "id": event_id, "source": "s", "type": kind, "time": time, "data": data}
        for record in api.post(url, json.dumps(event).encode(), kind="application/cloudevents+json"):
            half = half_of(record)
            assert isinstance(half, Half), half
            found.append(half)
    if len(found) < 2:
        return
    made = events_of(Pair(*found), lambda *_: None)
    if isinstance(made, InferenceError):
        assert re.search(ONLY_A_PAIR, str(made)), made  # what one half shows is refused at the door
        return
    check_predictions(
        [StubRecord(i, msgspec.json.encode(one), one.prediction_id.encode()) for i, one in enumerate(made)]
    )


@FEW
@given(st.lists(MADE, min_size=1, max_size=4), st.sampled_from([-14, 0, 14]))
def test_predictions_of_the_client(api: Api, events: list[dict[str, object]], hours: int) -> None:
    documents = []
    for event in events:
        time = event["timestamp"]
        if isinstance(time, float) and 0 <= time < END:
            time = datetime.fromtimestamp(time, UTC).astimezone(timezone(timedelta(hours=hours)))
        try:
            documents.append(client_event({**event, "timestamp": time}))
        except InvalidEvent:
            continue
    if documents:
        check_predictions(api.post("/predictions", b"[" + b",".join(documents) + b"]"))


COLUMNS = ReplayColumns(features=("amount", "city"), profile=WATCHED.profile, known=("amount", "city"))


@FEW
@given(st.lists(MADE, min_size=1, max_size=1), st.lists(TRUTHS, min_size=1, max_size=1), st.booleans())
def test_files_that_are_replayed(
    tmp_path_factory: pytest.TempPathFactory, made: list[dict[str, Any]], truths: list[dict[str, Any]], rows: bool
) -> None:
    folder = tmp_path_factory.mktemp("files", numbered=True)
    predictions, feedback = folder / "predictions.jsonl", folder / "feedback.jsonl"
    for event in made:
        event |= {"model": "m", "model_version": "1"}
    for truth in truths:
        truth["prediction_id"] = made[0]["prediction_id"]
    if rows:
        made = [
            {k: v for k, v in event.items() if k not in ("features", "metadata")}
            | {name: event["features"].get(name) for name in ("amount", "city")}
            for event in made
        ]
        for truth in truths:
            truth["x"] = 1
    predictions.write_text("".join(f"{json.dumps(event)}\n" for event in made))
    feedback.write_text("".join(f"{json.dumps(event)}\n" for event in truths))
    try:
        found = check_files(predictions, feedback, COLUMNS, VERSION, 86_400.0)
    except (ReplayError, TableError):
        return
    for stream, check in ((found.predictions, check_predictions), (found.feedback, check_feedback)):
        assert stream is not None
        for chunk in stream.chunks():
            check(
                [StubRecord(i, value, key) for i, (key, value) in enumerate(zip(chunk.keys, chunk.values, strict=True))]
            )


def limited_to(state: Path, *models: str) -> dict[str, str]:
    """Headers of a key that may send for some models."""
    key = KeyFile(state / "api-keys.json").create("team", ["produce"], datetime.now(UTC), models=models)
    return {"authorization": f"Bearer {key.text}"}


def test_one_teams_key_writes_no_other_models_predictions_or_truth(tmp_path: Path) -> None:
    api = Api(tmp_path)
    one, two = limited_to(tmp_path, "mine"), limited_to(tmp_path, "mine", "ours")
    made = {"prediction_id": "p", "model_version": "1", "features": {}, "prediction": 1}
    truth = {"prediction_id": "p", "actual": 0}
    mine, theirs = {**made, "model": "mine"}, {**made, "model": "theirs"}
    batch = "application/cloudevents-batch+json"
    half = {"specversion": "1.0", "id": "p", "source": "s", "type": RESPONSE,
            "data": {"predictions": [1], "model_name": "theirs", "model_version": "1"}}  # fmt: skip
    cases: list[tuple[str, list[object], str, dict[str, str], list[tuple[str, str | None]]]] = [
        ("/predictions", [mine, theirs], "application/json", one, [("mine", None)]),
        ("/predictions", [cloud_event(0, theirs), cloud_event(1, mine)], batch, one, [("mine", None)]),
        ("/feedback", [truth, {**truth, "model": "theirs"}], "application/json", one, [("p", "mine")]),
        (
            "/feedback",
            [cloud_event(0, {**truth, "model": "theirs"}), cloud_event(1, truth)],
            batch,
            one,
            [("p", "mine")],
        ),
        ("/feedback", [truth, {**truth, "model": "ours"}], "application/json", two, [("p", "ours")]),
        ("/predictions", [half], batch, one, [("mine", "half")]),
        ("/predictions?model=theirs", [half], batch, one, []),
        ("/predictions", [half], batch, two, []),
        ("/predictions?model=ours", [half], batch, two, [("ours", "half")]),
    ]
    try:
        for path, events, kind, headers, expected in cases:
            found: list[tuple[str, str | None]] = []
            for record in api.post(path, json.dumps(events).encode(), kind, headers):
                of = dict(record.headers)
                value = json.loads(record.value or b"")
                if of:
                    found.append((of["ce_model"].decode(), "half"))
                elif "actual" in value:
                    found.append((value["prediction_id"], value["model"]))
                else:
                    found.append((value["model"], None))
            assert found == expected, (path, events, api.told)
    finally:
        api.close()
