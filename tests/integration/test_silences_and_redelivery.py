"""Silences and dead letters with a real Kafka: by HTTP, by the command line, and what a worker makes of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from app.alerting.silences.requests import SilenceRequest, send_silence, silence_of
from app.alerting.silences.table import SilencesTable
from app.kafka.producer import Outgoing, Producer
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.alert_events import SILENCE_BODY, of_rule
from tests.support.api import client_of, ready
from tests.support.deliveries import recorded_of, send_alerts
from tests.support.kafka_topics import records_of
from tests.support.reports import drift_report, feature
from tests.support.run_command import typed_with
from tests.support.stream import MODEL, VERSION, register_model, worker
from tests.support.waiting import until
from tests.support.worker_process import log_of
from topics.events import DriftReport, SilenceEvent, utc_now
from topics.registry import REPORTS, SILENCES, UNDELIVERED


def lines(settings: Settings) -> list[str]:
    """The alerts that the file channel has told."""
    files = sorted(Path(settings.alerts_dir).glob("*.jsonl")) if Path(settings.alerts_dir).is_dir() else []
    return [json.loads(line)["alert_id"] for file in files for line in file.read_text().splitlines()]


async def test_a_silence_by_http_is_in_kafka_listed_and_ended(settings: Settings) -> None:
    async with client_of(settings) as client:
        await ready(client)
        made = await client.post("/silences", json=SILENCE_BODY)
        assert made.status_code == 201, made.text
        silence = made.json()
        (record,) = await records_of(settings, SILENCES)
        assert record.key.decode() == silence["silence_id"]
        assert msgspec.json.decode(record.value, type=SilenceEvent).matchers == ('model="income"',)
        assert (await client.get("/silences")).json() == {"silences": [silence]}
        ended = await client.delete(f"/silences/{silence['silence_id']}")
        assert (ended.status_code, ended.json()["state"]) == (200, "expired")
        again = await client.delete(f"/silences/{silence['silence_id']}")
        assert again.json() == ended.json()
        assert (await client.get("/silences")).json() == {"silences": []}
        assert len((await client.get("/silences", params={"all": "true"})).json()["silences"]) == 1
        await _refused(client)


async def _refused(client: httpx.AsyncClient) -> None:
    for body, status, words in (
        ({**SILENCE_BODY, "matchers": ["modle=x"]}, 422, "did you mean model?"),
        ({**SILENCE_BODY, "matchers": ["model=~(?=a)"]}, 422, "is no regular expression of RE2"),
        ({**SILENCE_BODY, "second": 3}, 422, "second"),
        ({k: v for k, v in SILENCE_BODY.items() if k != "comment"}, 422, "comment: missing"),
    ):
        answer = await client.post("/silences", json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert words in answer.json()["detail"]
    assert (await client.post("/silences", content=b"{")).status_code == 400
    unknown = await client.delete("/silences/none")
    assert (unknown.status_code, "GET /silences" in unknown.json()["detail"]) == (404, True)


async def test_the_view_has_the_newest_word_and_leaves_out_what_is_no_silence(settings: Settings) -> None:
    await ensure_topics(settings, [SILENCES])
    silence = silence_of(msgspec.convert(SILENCE_BODY, SilenceRequest), utc_now())
    async with Producer(settings) as producer, SilencesTable(settings) as view:
        await producer.send(SILENCES, b"x", b"no json")
        await send_silence(producer, silence)
        await view.catch_up()
        assert view.all() == [silence] == view.not_over(utc_now())
        await producer.send(SILENCES, silence.silence_id.encode(), None)
        await view.catch_up()
        assert view.all() == []


async def test_silences_by_the_command_line(settings: Settings) -> None:
    run = ("alerts", "silence")
    assert (await typed_with(settings, *run, "list")).stdout == "no silences\n"
    missing = await typed_with(settings, *run, "--model", "income", "--for", "2h")
    assert "why?" in str(missing.exception)
    made = await typed_with(
        settings, *run, "--model", "income", "--rule", "data_drift", "--for", "2h", "--comment", "retraining", "--json"
    )
    assert made.exit_code == 0, made.output
    silence = json.loads(made.stdout)
    assert (silence["state"], silence["matchers"]) == ("active", ['model="income"', 'rule="data_drift"'])
    assert silence["silence_id"] in (await typed_with(settings, *run, "list")).stdout
    assert (await typed_with(settings, *run, "expire", silence["silence_id"])).exit_code == 0
    assert (await typed_with(settings, *run, "list")).stdout == "no silences\n"
    unknown = await typed_with(settings, *run, "expire", "nothing")
    assert "silence list --all" in str(unknown.exception)


@pytest.mark.timeout(150)
async def test_a_worker_heeds_silences_and_what_it_gave_up_can_be_sent_again(settings: Settings) -> None:
    settings = settings.model_copy(
        update={"group_wait_seconds": 0.0, "delivery_seconds": 0.0, "disabled_channels": ("log",)}
    )
    await ensure_topics(settings)
    settings.alerts_dir.write_text("in the way")
    loud, quiet, given_up = (of_rule(rule) for rule in ("performance", "data_drift", "data_quality"))
    async with recorded_of(settings) as recorded, Producer(settings) as producer:
        with worker(settings):
            await send_alerts(settings, [given_up])
            assert await until(lambda: recorded.ids == {given_up.alert_id}, 60), log_of(settings)
            assert [event.outcome for event in recorded.events] == ["failed"]
            settings.alerts_dir.unlink()
            body = msgspec.convert({**SILENCE_BODY, "matchers": ["rule=data_drift"]}, SilenceRequest)
            await send_silence(producer, silence_of(body, utc_now()))
            await asyncio.sleep(1)  # within which it must take effect
            await send_alerts(settings, [quiet])
            await send_alerts(settings, [loud])
            assert await until(lambda: recorded.ids == {given_up.alert_id, loud.alert_id}, 60), log_of(settings)
            assert lines(settings) == [loud.alert_id]
    shown = await typed_with(settings, "alerts", "redeliver", "--all", "--dry-run")
    assert ("undelivered" in shown.stdout, lines(settings)) == (True, [loud.alert_id])
    sent = await typed_with(settings, "alerts", "redeliver", "--channel", "file", "--json")
    assert (sent.exit_code, json.loads(sent.stdout)["outcome"]) == (0, "delivered")
    assert sorted(lines(settings)) == sorted([loud.alert_id, given_up.alert_id])
    assert [record.value is None for record in await records_of(settings, UNDELIVERED)] == [False, True]
    assert (await typed_with(settings, "alerts", "redeliver", "--all")).stdout == "nothing undelivered\n"
    which = await typed_with(settings, "alerts", "redeliver")
    assert "which?" in str(which.exception)


async def test_what_is_pending_is_listed_until_it_fires(settings: Settings) -> None:
    await ensure_topics(settings)
    await register_model(settings)
    drifted = [feature("size", 0.5), feature("colour")]
    named: dict[str, Any] = {"model": MODEL, "model_version": VERSION}
    reports = [drift_report(0, **named), drift_report(1, features=drifted, **named)]
    run = ("alerts", "list", "--pending")

    async def send(report: DriftReport) -> None:
        async with Producer(settings) as producer:
            await producer.send_many(REPORTS, [Outgoing(b"key", msgspec.json.encode(report), 0)])

    for report in reports:
        await send(report)
    shown = await typed_with(settings, *run, "--json")
    assert shown.exit_code == 0, shown.output
    pending = {
        "model": MODEL, "model_version": VERSION, "rule": "data_drift", "subject": "features", "level": "error",
        "since": "2017-05-01T01:00:00Z", "windows": 1, "for_windows": 2,
    }  # fmt: skip
    of_feature = pending | {"rule": "feature_drift", "subject": "size", "level": "warning"}
    assert sorted(map(json.loads, shown.stdout.splitlines()), key=lambda one: str(one["rule"])) == [pending, of_feature]
    table = (await typed_with(settings, *run, "--model", MODEL)).stdout
    assert f"error    2017-05-01 01:00  1 of 2   {MODEL} {VERSION}: data_drift, features" in table.splitlines()
    of_level = await typed_with(settings, *run, "--level", "warning", "--json")
    assert json.loads(of_level.stdout) == of_feature
    assert (await typed_with(settings, *run, "--level", "critical")).stdout == "nothing is pending\n"
    assert "--firing" in str((await typed_with(settings, *run, "--firing")).exception)
    await send(drift_report(2, features=drifted, **named))
    assert (await typed_with(settings, *run)).stdout == "nothing is pending\n"
