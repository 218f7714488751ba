"""The API with a real Kafka: a 2xx means the record is there, anything else says what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.http.parameters import PAGES
from api.routes.dashboard import STATIC
from api.routes.sign_in import PARTS as SIGN_IN_PARTS
from app.history.setup import history_of
from app.kafka.producer import Producer
from app.registration.publish import register
from app.serving import BundleError
from app.settings.settings import Settings, load_settings
from tests.support.api import EVENT, client_of, ready, services_of
from tests.support.kafka_topics import records_of
from tests.support.served_model import PEOPLE, TRUTH
from topics.events import AlertEvent, DriftReport, FeedbackEvent, PredictionEvent
from topics.registry import ALERTS, FEEDBACK, PREDICTIONS, REPORTS

CANARY = "canary-4711"


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(settings) as found:
        await ready(found)
        yield found


async def test_an_accepted_prediction_is_in_kafka_under_its_id(client: httpx.AsyncClient, settings: Settings) -> None:
    answer = await client.post("/predictions", json=EVENT)
    warnings = [f"{EVENT['model']} {EVENT['model_version']} is not registered, so 1 event is not counted until it is"]
    told = {"accepted": 1, "rejected": [], "unregistered": 1, "warnings": warnings}
    assert (answer.status_code, answer.json()) == (202, told)
    again = await client.post("/predictions", json=[{**EVENT, "prediction_id": "b", "probabilty": 0.5}])
    assert [line.partition(":")[0] for line in again.json()["warnings"]] == [*warnings, "probabilty"]
    counted = (await client.get("/metrics")).text
    assert 'driftline_api_warnings_total{kind="unknown_field",topic="predictions"} ' in counted
    record = next(one for one in await records_of(settings, PREDICTIONS) if one.key == b"a")
    assert msgspec.json.decode(record.value, type=PredictionEvent) == msgspec.convert(
        EVENT, PredictionEvent, strict=False
    )


async def test_at_debug_no_event_and_no_id_is_logged(
    client: httpx.AsyncClient, settings: Settings, logged: pytest.LogCaptureFixture
) -> None:
    event = {**EVENT, "prediction_id": f"{CANARY}-1", "features": {"plan": CANARY}, "prediction": CANARY}
    assert (await client.post("/predictions", json=[event, {**event, "features": CANARY}])).status_code == 202
    assert (await client.post("/feedback", json={"prediction_id": CANARY, "actual": CANARY})).status_code == 200
    assert len(await records_of(settings, PREDICTIONS)) == 1
    assert CANARY not in logged.text


async def test_what_is_not_given_is_filled_in_and_told(client: httpx.AsyncClient, settings: Settings) -> None:
    slim = {name: value for name, value in EVENT.items() if name not in ("prediction_id", "timestamp")}
    before = datetime.now(UTC)
    answer = await client.post("/predictions", json=[slim, EVENT])
    assert answer.status_code == 202
    ids = answer.json()["prediction_ids"]
    events = {record.key.decode(): record.value for record in await records_of(settings, PREDICTIONS)}
    assert sorted(events) == sorted(ids)
    filled = msgspec.json.decode(events[ids[0]], type=PredictionEvent)
    assert isinstance(filled.timestamp, datetime)
    assert before <= filled.timestamp <= datetime.now(UTC)


async def test_of_a_batch_the_sound_ones_are_in_kafka_and_the_others_are_named(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    batch = [{**EVENT, "prediction_id": str(i)} for i in range(1000)]
    batch[7] = {**EVENT, "timestamp": "now"}
    batch[500] = {**EVENT, "features": {"blob": "x" * (1 << 20)}}
    body = "\n".join(json.dumps(event) for event in batch)
    answer = await client.post("/predictions", content=body, headers={"content-type": "application/x-ndjson"})
    assert answer.status_code == 202
    told = answer.json()
    assert told["accepted"] == 998
    assert [one["index"] for one in told["rejected"]] == [7, 500]
    assert told["rejected"][0]["error"].startswith("timestamp: ")
    assert "at most 1,047,552" in told["rejected"][1]["error"]
    found = {record.key.decode() for record in await records_of(settings, PREDICTIONS)}
    assert found == {str(i) for i in range(1000)} - {"7", "500"}


async def test_nothing_sound_is_a_problem_with_every_reason(client: httpx.AsyncClient, settings: Settings) -> None:
    answer = await client.post("/predictions", json=[{}, {**EVENT, "prediction": [1]}])
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["type"], told["status"]) == ("about:blank", 422)
    assert told["detail"] == (
        "none of 2 events can be taken; the first: model: missing; model_version: missing; features: missing; "
        "prediction: missing"
    )
    assert [one["index"] for one in told["rejected"]] == [0, 1]
    assert await records_of(settings, PREDICTIONS) == []


async def test_recorded_feedback_is_in_kafka_under_its_id(client: httpx.AsyncClient, settings: Settings) -> None:
    answer = await client.post("/feedback", json={"prediction_id": "a", "actual": True})
    assert (answer.status_code, answer.json()) == (200, {"status": "success", "message": "Feedback recorded"})
    answer = await client.post("/feedback", json=[{"prediction_id": "b", "actual": 1}, {"prediction_id": "c"}])
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "partial", "message": "Feedback recorded for 1 of 2", "accepted": 1,
        "rejected": [{"index": 1, "error": "actual: missing"}],
    }  # fmt: skip
    found = {record.key: record.value for record in await records_of(settings, FEEDBACK)}
    assert found.keys() == {b"a", b"b"}
    assert msgspec.json.decode(found[b"a"], type=FeedbackEvent).actual is True


async def test_a_malformed_body_is_a_problem(client: httpx.AsyncClient) -> None:
    bodies = {b"": 400, b"{": 400, b"nonsense": 400, b"\xff": 400, b"[]": 400}
    for path, lacking in (("/predictions", 422), ("/feedback", 400)):
        for body, status in {**bodies, b"{}": lacking}.items():
            answer = await client.post(path, content=body)
            assert answer.status_code == status, (path, body)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == status


async def test_a_body_that_is_too_large_is_refused_with_or_without_its_length(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b"x" * (1 << 20)

    for content in (b"x" * (17 << 20), chunks()):
        answer = await client.post("/predictions", content=content)
        assert answer.status_code == 413
        assert "16 MiB" in answer.json()["detail"]


async def test_a_wrong_address_or_parameter_is_a_problem_too(client: httpx.AsyncClient) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404), ("GET", "/predictions", 405), ("GET", "/models/a/1/drift", 404),
        ("GET", "/models/a/1/drift?limit=x", 422),
    ):  # fmt: skip
        answer = await client.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
    wrong = await client.get("/models/a/1/drift", params={"limit": "0"})
    assert wrong.json()["detail"].startswith("limit: ")


async def test_a_registered_model_and_what_is_found_of_it_are_told(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    assert (await client.get("/models")).json()["models"] == []
    reference = PEOPLE.assign(prediction=TRUTH, probability=TRUTH * 0.8 + 0.1, target=TRUTH)
    await register(settings, "churn", "3", reference)
    await services_of(client).models.catch_up()
    (told,) = (await client.get("/models")).json()["models"]
    assert (told["model"], told["model_version"], told["state"], told["task"]) == ("churn", "3", "waiting", "binary")
    report, alert = a_report(), an_alert()
    async with Producer(settings) as producer:
        await producer.send(REPORTS, b"churn/3/drift", msgspec.json.encode(report))
        await producer.send(ALERTS, b"f", msgspec.json.encode(alert))
    await services_of(client).reports.until(lambda found: bool(found[("churn", "3")].firing))
    (told,) = (await client.get("/models")).json()["models"]
    assert (told["state"], told["drift_share"], told["firing"]) == ("alerting", 0.5, 1)
    (found,) = (await client.get("/models/churn/3/drift")).json()["reports"]
    assert msgspec.convert(found, DriftReport) == report
    (found,) = (await client.get("/models/churn/3/alerts")).json()["alerts"]
    assert msgspec.convert(found, AlertEvent) == alert
    assert (await client.get("/models/churn/3/performance")).json()["reports"] == []
    assert len((await client.get("/models/churn/3/timeline")).json()["marks"]) == 1
    assert (await client.get("/models/churn/3")).json() == told
    with closing(history_of(settings)) as history:
        history.prepare()
    await every_get_keeps_to_http(client)
    await alerts_come_in_parts(client)


async def every_get_keeps_to_http(client: httpx.AsyncClient) -> None:
    """HEAD is as GET without content, what is known is not sent again, large answers are compressed where one can."""
    app = client.app  # type: ignore[attr-defined]
    assert isinstance(app, FastAPI)
    paths = [path for path, operations in app.openapi()["paths"].items() if "get" in operations]
    assert len(paths) > 20
    compressed = 0
    for path in [*paths, "/openapi.json", "/sign-in", "/sign-in/sign-in.css"]:
        if path in CHANGING:
            continue
        url = path.replace("{model}", "churn").replace("{version}", "3")
        url = url.replace("{name}", "again.js" if "sign-in" in url else "main.js" if "dashboard" in url else "age")
        got = await client.get(url)
        assert got.status_code == (404 if url.endswith("/age") else 303 if url == "/sign-in" else 200), (url, got.text)
        headers = dict(got.headers)
        same = got
        for asked in ({}, {"accept-encoding": "identity"}):
            same = await client.get(url, headers=asked)
            head = await client.head(url, headers=asked)
            assert (head.status_code, dict(head.headers), head.content) == (same.status_code, dict(same.headers), b"")
            assert same.content == got.content
        if got.status_code != 200:
            continue
        large = len(got.content) >= 1000
        assert (headers.get("content-encoding"), headers.get("vary")) == (
            ("gzip", "Accept-Encoding") if large else (None, None)
        ), url
        compressed += large
        assert "content-encoding" not in same.headers
        for known in (headers["etag"], f'"other", {headers["etag"]}', headers["etag"].removeprefix("W/"), "*"):
            for ask in (client.get, client.head):
                again = await ask(url, headers={"if-none-match": known})
                assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", headers["etag"]), url
                assert again.headers["cache-control"] == headers["cache-control"]
                assert not {"content-type", "content-length"} & again.headers.keys()
        changed = await client.get(url, headers={"if-none-match": '"other"'})
        assert (changed.status_code, changed.content) == (200, got.content)
        refused = await client.get(url, params={"utm_source": "chat"})
        assert refused.status_code == (200 if path.startswith(PAGES) else 422), url
        assert refused.is_success or refused.json()["detail"].startswith("utm_source: is no parameter here")
    assert compressed >= 4
    refused = await client.post("/predictions?modle=churn", json=EVENT)
    assert (refused.status_code, "did you mean model?" in refused.text) == (422, True)
    naive = await client.get("/models/churn/3/features", params={"end": "2026-01-01T00:00:00"})
    assert (naive.status_code, naive.json()["detail"][:22]) == (422, "end: has no time zone;")
    nowhere = await client.head("/models/churn/4")
    assert (nowhere.status_code, nowhere.content) == (404, b"")
    assert (await client.put("/silences")).headers["allow"] == "GET, HEAD"


CHANGING = ("/events", "/metrics", "/monitor", "/ready")
"""Whose answers are no two the same, or which do not end."""


async def alerts_come_in_parts(client: httpx.AsyncClient) -> None:
    """The list of what fires, read in parts: alerts of equal times come once each."""
    reports = services_of(client).reports
    moments = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 1, 1, 2, 1, 2, 1)]
    raised = [
        msgspec.structs.replace(
            an_alert(), fingerprint=str(i), started_at=at, status="firing" if i % 3 else "resolved",
            ended_at=None if i % 3 else at + timedelta(hours=1),
        )
        for i, at in enumerate(moments)
    ]  # fmt: skip
    reports.apply(ALERTS.full_name(services_of(client).settings.prefix), map(msgspec.json.encode, raised))
    whole = (await client.get("/alerts")).json()
    assert (whole["next"], whole["total"], len(whole["alerts"])) == (None, 8, 8)
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while cursor or not found:
        part = (await client.get("/alerts", params={"limit": 3, **cursor})).json()
        assert part["total"] == 8
        found += part["alerts"]
        cursor = {"cursor": part["next"]} if part["next"] else {}
    assert found == whole["alerts"]
    assert sorted(one["fingerprint"] for one in found) == ["0", "1", "2", "3", "4", "5", "6", an_alert().fingerprint]
    assert (await client.get("/alerts?cursor=x")).status_code == 422


async def test_the_dashboard_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/dashboard")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.findall(r"<(?:style|script)>| style=| on[a-z]+=", page.text)
    wanted = set(re.findall(r'"dashboard/([a-z.]+)"', page.text))
    parts: set[str] = set()
    while wanted - parts:
        name = (wanted - parts).pop()
        answer = await client.get(f"/dashboard/{name}")
        assert answer.status_code == 200
        assert not re.findall(r"https?://(?!www\.w3\.org/)", answer.text)
        parts.add(name)
        wanted |= set(re.findall(r'from "\./([a-z.]+)"', answer.text))
    assert parts == {path.name for path in STATIC.iterdir() if path.suffix in (".js", ".css")} - set(SIGN_IN_PARTS)
    assert (await client.get("/dashboard/secrets.js")).status_code == 404
    assert "http://" not in page.text
    assert "https://" not in page.text


async def test_without_a_broker_nothing_is_accepted_and_the_client_is_asked_to_come_again(tmp_path: Path) -> None:
    async with client_of(load_settings(bootstrap_servers="127.0.0.1:9")) as client:
        for method, path, body in (
            ("POST", "/predictions", EVENT), ("POST", "/feedback", {"prediction_id": "a", "actual": 1}),
            ("GET", "/ready", None), ("GET", "/models", None),
        ):  # fmt: skip
            answer = await client.request(method, path, json=body)
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert answer.headers["content-type"] == "application/problem+json"
        assert (await client.get("/health")).status_code == 200
        assert (await client.post("/predictions", json={})).status_code == 422


def test_a_bundle_that_cannot_be_loaded_stops_the_api(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        create_app(load_settings(bootstrap_servers="127.0.0.1:9", model_path=tmp_path / "nowhere"))


def a_report() -> DriftReport:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return DriftReport(
        model="churn", model_version="3", profile_id="p", window_start=now, window_end=now, revision=1, n=900,
        sufficient=True, emitted_at=now, drift_detected=True, drift_share=0.5, drift_threshold=0.3,
        drifted_features=("age",), prediction_drift=False, features=(), prediction=None, probability=None,
        missing_share=0.0, unknown_features={},
    )  # fmt: skip


def an_alert() -> AlertEvent:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return AlertEvent(
        alert_id="1", fingerprint="f", status="firing", level="error", rule="data_drift", title="t", message="m",
        labels={"model": "churn", "model_version": "3"}, started_at=now, ended_at=None, evidence={}, links={},
        emitted_at=now,
    )  # fmt: skip
