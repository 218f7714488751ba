"""A model version registered, shown and retired over HTTP, as the command does it with Kafka."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from pydantic import SecretStr

from app.commands.api_client import ApiClient
from app.commands.register import over_http as register_over_http
from app.commands.reports_over_http import reports_over_http
from app.commands.top.over_http import states_over_http
from app.core.reference.profile import Profile
from app.kafka.producer import Producer
from app.registration.models_table import ModelsTable
from app.registration.profiling import profile_of
from app.settings.settings import Settings
from tests.support.alert_events import alert_event
from tests.support.api import client_of, on_port, ready, services_of
from tests.support.kafka_topics import records_of
from tests.support.reports import drift_report
from tests.support.run_command import typed
from tests.support.served_model import PEOPLE, TRUTH
from topics.events import AuditEvent, DriftReport, FeedbackEvent, PredictionEvent, VersionEvent
from topics.registry import ALERTS, AUDIT, FEEDBACK, PREDICTIONS, REPORTS, VERSIONS

REFERENCE = PEOPLE.assign(prediction=TRUTH, probability=TRUTH * 0.8 + 0.1, target=TRUTH)
URL = "/models/churn/versions/3"


HASH_KEY = "0123456789abcdef"


@pytest.fixture
async def client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("DRIFTLINE_HASH_KEY", HASH_KEY)
    async with client_of(settings.model_copy(update={"hash_key": SecretStr(HASH_KEY)})) as found:
        await ready(found)
        yield found


def form(kind: str) -> dict[str, tuple[str, bytes]]:
    """Return the reference as a file of a kind."""
    if kind == "csv":
        content = REFERENCE.to_csv(index=False).encode()
    elif kind == "jsonl":
        content = b"\n".join(map(msgspec.json.encode, REFERENCE.to_dict("records")))
    else:
        held = io.BytesIO()
        REFERENCE.to_parquet(held)
        content = held.getvalue()
    return {"reference": (f"reference.{kind}", content)}


async def test_a_reference_in_any_form_becomes_the_profile_that_register_makes(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    monitoring = {"windows": {"pane": 60, "panes": 5}, "alerting": {"critical_features": ["age"]}}
    config = {"config": ("monitoring.json", json.dumps(monitoring).encode())}
    expected = profile_of("churn", "3", REFERENCE)
    result: dict[str, Any] = {}
    for number, kind in enumerate(("parquet", "jsonl", "csv")):
        response = await client.post(URL, files=form(kind) | config)
        assert response.status_code == (200 if number else 201), response.text
        result = response.json()
        assert result["profile_id"] == expected.profile_id, kind
        assert result["decided"].keys() == {column.name for column in expected.features}
    by_profile = await client.post(URL, files=config | {"profile": ("p.json", msgspec.json.encode(expected))})
    assert (by_profile.status_code, by_profile.json()["profile_id"]) == (200, expected.profile_id)
    assert by_profile.json() == result | {"decided": {}, "left_out": {}, "notes": []}
    async with ModelsTable(settings) as models:
        found = models.get("churn", "3")
    assert found is not None
    assert (found.profile, found.monitoring.windows.panes) == (expected, 5)
    shown = (await client.get(URL)).json()
    assert (shown["status"], shown["profile_id"], shown["n"]) == ("registered", expected.profile_id, len(REFERENCE))
    assert shown["monitoring"]["windows"]["panes"] == 5
    assert "profile" not in shown
    whole = (await client.get(URL, params={"profile": "true"})).json()
    assert msgspec.convert(whole["profile"], Profile) == expected
    await it_is_retired_and_registered_again(client, settings, config)


async def it_is_retired_and_registered_again(
    client: httpx.AsyncClient, settings: Settings, config: dict[str, Any]
) -> None:
    gone = await client.delete(URL, params={"reason": "replaced"})
    assert (gone.status_code, gone.json()["retired"], gone.json()["reason"]) == (200, True, "replaced")
    again = await client.delete(URL, params={"reason": "another"})
    assert again.json() == gone.json()
    (record,) = await records_of(settings, VERSIONS)
    event = msgspec.json.decode(record.value, type=VersionEvent)
    assert (event.status, event.by, event.reason) == ("retired", "command", "replaced")
    shown = (await client.get(URL)).json()
    assert (shown["status"], shown["reason"]) == ("retired", "replaced")
    assert (await client.get("/models/churn/3")).json()["state"] == "retired"
    assert (await client.post(URL, files=form("parquet") | config)).status_code == 200
    assert (await client.get(URL)).json()["status"] == "registered"
    audited = [msgspec.json.decode(one.value, type=AuditEvent) for one in await records_of(settings, AUDIT)]
    assert [one.action for one in audited] == ["model.registered"] * 4 + ["model.retired", "model.registered"]
    assert {one.subject for one in audited} == {"churn/3"}
    missing = await client.delete("/models/churn/versions/4")
    assert (missing.status_code, "registered: churn 3" in missing.text) == (404, True)


async def ran(*words: str) -> tuple[str, str]:
    """Run a command that succeeds. Return its output and its errors."""
    status, out, err = await asyncio.to_thread(typed, *words)
    assert status == 0, err
    return out, err


async def test_commands_do_over_http_what_they_do_with_kafka(
    client: httpx.AsyncClient, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = ("--bootstrap-servers", str(settings.bootstrap_servers), "--prefix", settings.prefix)
    REFERENCE.to_csv(tmp_path / "r.csv", index=False)
    (tmp_path / "m.json").write_text(json.dumps({"columns": {"hash": ["plan"]}}))
    start = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
    rows = REFERENCE.assign(prediction_id=[f"p{i}" for i in range(200)], timestamp=start + np.arange(200) * 10.0)
    rows.drop(columns="target").to_csv(tmp_path / "p.csv", index=False)
    rows[["prediction_id", "target"]].to_csv(tmp_path / "f.csv", index=False)
    model = ("--model", "churn", "--version", "3")
    registration = ("register", *model, "--reference", str(tmp_path / "r.csv"), "--config", str(tmp_path / "m.json"))
    files = ("--predictions", str(tmp_path / "p.csv"), "--feedback", str(tmp_path / "f.csv"))
    sending = ("replay", *model, *files, "--actual-column", "target")
    async with on_port(client) as url:
        over_http = ("--api", url)
        assert await ran(*registration, *over_http) == await ran(*registration, *kafka)
        printed = await ran(*registration, "--json", *over_http)
        assert printed == await ran(*registration, "--json", *kafka)
        monkeypatch.setattr(register_over_http, "LARGEST_FILE", 10)
        as_profile, words = await ran(*registration, "--json", *over_http)
        assert (json.loads(as_profile), "is too large to be sent" in words) == (json.loads(printed[0]), True)
        before = await sent_by(settings, sending, kafka)
        after = await sent_by(settings, sending, over_http)
        assert after == before
        status, _, err = await asyncio.to_thread(typed, "replay", "--model", "x", *sending[3:], *over_http)
        assert (status, "404: no model 'x' version '3' (registered: churn 3)" in err) == (2, True), err
        status, _, err = await asyncio.to_thread(typed, *registration, *over_http, *kafka)
        assert (status, "--api: is in place of Kafka" in err) == (2, True), err
        await findings_are_shown(client, settings, kafka, over_http)
    status, _, err = await asyncio.to_thread(typed, *registration, *over_http)
    assert (status, f"no API responds at {url}" in err) == (2, True), err


TOPICS = (PREDICTIONS, FEEDBACK)


async def sent_by(settings: Settings, command: tuple[str, ...], reach: tuple[str, ...]) -> dict[str, Any]:
    """Return what a replay adds to both topics: events by key, and heartbeats."""
    seen = {(topic, one.partition, one.offset) for topic in TOPICS for one in await records_of(settings, topic)}
    await ran(*command, *reach)
    new = {
        topic: [one for one in await records_of(settings, topic) if (topic, one.partition, one.offset) not in seen]
        for topic in TOPICS
    }
    heartbeats = [one.value for one in new[PREDICTIONS] if one.key is None]
    assert len(heartbeats) == settings.partitions
    assert all(dict(one.headers) == {"driftline": b"heartbeat"} for one in new[PREDICTIONS] if one.key is None)
    predictions = {one.key: msgspec.json.decode(one.value, type=PredictionEvent) for one in new[PREDICTIONS] if one.key}
    feedback = {one.key: msgspec.json.decode(one.value, type=FeedbackEvent) for one in new[FEEDBACK]}
    assert (len(predictions), len(feedback)) == (200, 200)
    return {"predictions": predictions, "feedback": feedback, "heartbeats": set(heartbeats)}


async def findings_are_shown(
    client: httpx.AsyncClient, settings: Settings, kafka: tuple[str, ...], over_http: tuple[str, ...]
) -> None:
    """Reports, alerts and the state of models are printed alike."""
    named = {"model": "churn", "model_version": "3"}
    reports = [msgspec.structs.replace(drift_report(window), **named) for window in range(3)]
    labels = {"model": "churn", "model_version": "3", "rule": "data_drift", "subject": "dataset"}
    alert = msgspec.structs.replace(alert_event(), labels=labels)
    async with Producer(settings) as producer:
        for report in reports:
            await producer.send(REPORTS, b"churn/3/drift", msgspec.json.encode(report))
        await producer.send(ALERTS, b"f", msgspec.json.encode(alert))
    await services_of(client).reports.until(lambda found: bool(found[("churn", "3")].firing))
    for command in (
        ("reports", "--model", "churn", "--json"),
        ("alerts", "list", "--model", "churn", "--firing"),
    ):
        out, _ = await ran(*command, *over_http)
        assert out
        assert out == (await ran(*command, *kafka))[0]
    top = json.loads((await ran("top", "--json", *over_http))[0])
    same = json.loads((await ran("top", "--json", *kafka))[0])
    assert top["models"][0]["state"] == "alerting"
    assert {**top, "at": ""} == {**same, "at": ""}
    assert "1 firing" in (await ran("top", "--once", *over_http))[0]
    await changes_are_followed(settings, over_http[1], msgspec.structs.replace(reports[-1], revision=2))
    for words, wrong in (
        (("reports", "--model", "x"), "x is not registered"),
        (("reports", "--model", "churn", "--kind", "traffic"), "--kind: traffic reports are in Kafka alone"),
        (("alerts", "list", "--model", "x"), "x is not registered"),
        (("alerts", "list", "--all"), "--all: every transition is in Kafka"),
        (("alerts", "list", "--pending"), "--pending: is found in the reports in Kafka"),
        (("top", "--model", "x"), "--model: no model is named 'x'"),
    ):
        status, _, err = await asyncio.to_thread(typed, *words, *over_http)
        assert (status, wrong in err) == (2, True), err


async def changes_are_followed(settings: Settings, url: str, again: DriftReport) -> None:
    """A report that is issued again is yielded to who follows, and wakes who watches."""
    with ApiClient(url, None) as client, closing(reports_over_http(client, "churn", None, None, follow=True)) as found:
        known = await asyncio.to_thread(lambda: list(iter(found.__next__, None)))
        assert len(known) == 3
        async with Producer(settings) as producer:
            await producer.send(REPORTS, b"churn/3/drift", msgspec.json.encode(again))
        async with asyncio.timeout(30):
            while await asyncio.to_thread(found.__next__) != again:
                pass
        with closing(states_over_http(client)) as states:
            state = await asyncio.to_thread(states.__next__)
            assert not isinstance(state, str)
            assert [one.state for one in state[0]] == ["alerting"]
