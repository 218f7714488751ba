"""Alerts, training runs and deployments of others over HTTP: what is taken, who may, and what becomes of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.access import KeyFile
from app.history.event_rows import entries_of
from app.kafka.producer import Headers
from tests.support.api_without_kafka import Api, Kafka
from tests.support.reports import StubRecord
from topics.events import AlertEvent, AuditEvent, DeploymentEvent, TrainingRunEvent
from topics.partition import partition_of
from topics.registry import ALERTS, AUDIT, DEPLOYMENTS, TRAINING_RUNS, Topic

LOAD = {"title": "load failed", "level": "error", "dedupe_key": "load", "metadata": {"table": "orders"}}
RUN = {
    "model": "churn", "model_version": "4", "run_id": "r1", "metrics": {"accuracy": 0.9, "f1_score": 0.8},
    "is_retraining": True, "environment": "batch", "metadata": {"commit": "3f2a"},
    "finished_at": "2026-06-01T12:00:00Z",
}  # fmt: skip
DEPLOYED = {
    "model": "churn", "model_version": "4", "deployed_at": "2026-06-01T13:00:00+02:00", "environment": "production",
    "status": "rolled back", "metadata": {"by": "ada"},
}  # fmt: skip


class Read(Kafka):
    """Kafka whose alerts the API's view reads at once."""

    api: Api

    async def send(
        self, topic: Topic, key: bytes | None, value: bytes, partition: int | None = None, headers: Headers = ()
    ) -> None:
        await super().send(topic, key, value, partition, headers)
        if topic is ALERTS:
            self.api.services.reports.apply(ALERTS.full_name(), [value])


class Posting(Api):
    """The API of `Api`, whose views are loaded; `post` as a client sees it."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.kafka = Read()
        self.kafka.api = self
        self.services.producer = self.kafka  # type: ignore[assignment]  # as much of it as is used
        self.services.connected.set()

        async def known() -> None:
            """What was sent is known."""

        self.services.reports.catch_up = known  # type: ignore[method-assign]

    def asked(self, path: str, body: object, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """The status, and the answer."""
        self.kafka.sent, self.kafka.topics = [], []
        answer = self.runner.run(self.client.post(path, json=body, headers=headers or {}))
        return answer.status_code, answer.json()

    def records(self, topic: Topic, kind: type[Any]) -> list[Any]:
        """What was sent to a topic by the last request."""
        both = zip(self.kafka.topics, self.kafka.sent, strict=True)
        return [msgspec.json.decode(one.value or b"", type=kind) for its, one in both if its is topic]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Posting]:
    found = Posting(tmp_path)
    yield found
    found.close()


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Posting]:
    """One for all that is refused: nothing is sent."""
    found = Posting(tmp_path_factory.mktemp("state"))
    yield found
    found.close()


def test_an_alert_is_sent_once_however_often_it_is_said_and_resolved_once(api: Posting) -> None:
    status, first = api.asked("/alerts", {**LOAD, "model": "churn", "model_version": "4"})
    assert (status, first["new"], first["rule"], first["status"]) == (201, True, "external", "firing")
    assert api.kafka.topics == [AUDIT, ALERTS]  # noted before it is sent
    (sent,) = api.records(ALERTS, AlertEvent)
    assert {**msgspec.to_builtins(sent), "new": True} == first
    assert api.kafka.sent[1].partition == partition_of("churn", "4", api.services.settings.partitions)
    (note,) = api.records(AUDIT, AuditEvent)
    assert (note.action, note.subject, note.detail["title"]) == ("alert.sent", sent.fingerprint, "load failed")
    assert api.asked("/alerts", {**LOAD, "model": "churn", "model_version": "4"}) == (200, {**first, "new": False})
    assert api.kafka.sent == []
    other, elsewhere = api.asked("/alerts", LOAD)  # of no model: another alert
    assert (other, elsewhere["fingerprint"] == first["fingerprint"]) == (201, False)
    worse = api.asked("/alerts", {**LOAD, "model": "churn", "model_version": "4", "level": "critical"})[1]
    assert (worse["started_at"], worse["alert_id"] == first["alert_id"]) == (first["started_at"], False)
    end = {"status": "resolved", "dedupe_key": "load", "model": "churn", "model_version": "4"}
    status, over = api.asked("/alerts", end)
    assert (status, over["status"], over["level"]) == (201, "resolved", "critical")
    assert api.records(AUDIT, AuditEvent)[0].action == "alert.resolved"
    assert api.asked("/alerts", end) == (200, {**over, "new": False})
    assert api.asked("/alerts", {"status": "resolved", "fingerprint": elsewhere["fingerprint"]})[0] == 201
    shown = api.runner.run(api.client.get("/alerts")).json()
    assert (shown["total"], {one["status"] for one in shown["alerts"]}) == (2, {"resolved"})


def test_an_alert_of_two_processes_at_one_moment_is_shown_once(api: Posting) -> None:
    _, first = api.asked("/alerts", LOAD)
    again = msgspec.structs.replace(
        api.records(ALERTS, AlertEvent)[0], started_at=datetime(2099, 1, 1, tzinfo=UTC), emitted_at=datetime.now(UTC)
    )
    api.services.reports.apply(ALERTS.full_name(), [msgspec.json.encode(again)])
    (shown,) = api.runner.run(api.client.get("/alerts")).json()["alerts"]
    assert shown["started_at"] == first["started_at"]


def test_training_runs_and_deployments_are_sent_as_they_were_said_and_have_rows(api: Posting) -> None:
    status, told = api.asked("/training-runs", RUN)
    (run,) = api.records(TRAINING_RUNS, TrainingRunEvent)
    assert (status, told) == (201, msgspec.to_builtins(run))
    assert (run.metrics, run.is_retraining, run.environment) == ({"accuracy": 0.9, "f1": 0.8}, True, "batch")
    assert run.started_at == run.finished_at == datetime(2026, 6, 1, 12, tzinfo=UTC)
    status, told = api.asked("/deployments", DEPLOYED)
    (deployment,) = api.records(DEPLOYMENTS, DeploymentEvent)
    assert (status, told) == (201, msgspec.to_builtins(deployment))
    assert (deployment.source, deployment.status, deployment.metadata) == ("external", "rolled back", {"by": "ada"})
    (note,) = api.records(AUDIT, AuditEvent)
    assert (note.action, note.subject) == ("deployment.added", "churn/4")
    assert note.detail == {"environment": "production", "status": "rolled back"}
    entries, rejected = entries_of(DEPLOYMENTS, [StubRecord(0, api.kafka.sent[1].value)])
    assert (entries[0].row["environment"], entries[0].row["metadata"], rejected) == ("production", '{"by":"ada"}', [])
    longer = msgspec.structs.replace(deployment, status="é" * 201)  # sent past the API: no index holds it
    (letter,) = entries_of(DEPLOYMENTS, [StubRecord(0, msgspec.json.encode(longer))])[1]
    assert letter.reason == "history: `status` has more than 400 bytes"
    short = api.asked("/deployments", {"model": "churn", "model_version": "4"})[1]
    assert (short["status"], short["environment"]) == ("active", "")


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/alerts", {}, 400, "title: missing"),
        ("/alerts", {"title": "x", "severity": "error"}, 422, "object contains unknown field severity"),
        ("/alerts", {"title": "x", "level": "fatal"}, 422, "level: invalid enum value"),
        ("/alerts", {"title": "x", "metadata": {"a": []}}, 422, "metadata"),
        ("/alerts", {"status": "resolved", "dedupe_key": "never"}, 404, "dedupe_key: no alert of this name"),
        ("/training-runs", {}, 400, "model: missing; model_version: missing"),
        ("/training-runs", {**RUN, "status": "running"}, 422, "status: invalid enum value"),
        ("/training-runs", {**RUN, "started_at": "2026-06-02T12:00:00Z"}, 422, "started_at: must not be after"),
        ("/training-runs", {**RUN, "metrics": {"f1": 1, "f1_score": 1}}, 422, "metrics.f1: is given twice"),
        ("/training-runs", {**RUN, "rows": -1}, 422, "rows: must be a count"),
        ("/training-runs", {**RUN, "environment": "x" * 101}, 422, "environment: must have at most 100"),
        ("/training-runs", {**RUN, "metadata": {"a": "\0"}}, 422, "metadata: may not have a NUL"),
        ("/training-runs", {**RUN, "model": "a/b"}, 422, "model: 1 to 200 printable"),
        ("/deployments", {"model": "churn"}, 400, "model_version: missing"),
        ("/deployments", {**DEPLOYED, "deployed_at": "2026-06-01T13:00:00"}, 422, "deployed_at: "),
        ("/deployments", {**DEPLOYED, "deployed_at": "0001-01-01T00:00:00Z"}, 422, "deployed_at: must be from 1970"),
        ("/deployments", {**DEPLOYED, "status": ""}, 422, "status: must have 1 to 100"),
        ("/deployments", {**DEPLOYED, "metadata": {"a": "x" * 70_000}}, 422, "metadata: must have at most 64 KiB"),
        ("/deployments", [DEPLOYED], 422, "expected object, got array"),
    ],
)
def test_what_cannot_be_taken_is_named(refusing: Posting, path: str, body: object, status: int, words: str) -> None:
    found, told = refusing.asked(path, body)
    assert (found, words in told["detail"]) == (status, True), told
    assert refusing.kafka.sent == []


def test_what_is_no_json_is_400(refusing: Posting) -> None:
    for path, body in itertools.product(("/alerts", "/training-runs", "/deployments"), (b"", b"{", b"{} x", b'{"a"}')):
        answer = refusing.runner.run(refusing.client.post(path, content=body))
        assert (answer.status_code, "missing" in answer.json()["detail"]) == (400, False)


def test_a_key_for_some_models_sends_of_those_alone(api: Posting, tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "api-keys.json")
    keys = {
        name: {"authorization": f"Bearer {file.create('team', ['produce'], datetime.now(UTC), models=models).text}"}
        for name, models in (("one", ["churn"]), ("two", ["churn", "fraud"]), ("all", []))
    }
    _, theirs = api.asked("/alerts", {**LOAD, "model": "theirs"}, keys["all"])
    assert api.asked("/alerts", LOAD, keys["one"])[1]["labels"]["model"] == "churn"
    assert api.records(AUDIT, AuditEvent)[0].actor == "team"
    for path, body, key, status in (
        ("/alerts", LOAD, "two", 422),
        ("/alerts", {**LOAD, "model": "theirs"}, "one", 403),
        ("/alerts", {"status": "resolved", "fingerprint": theirs["fingerprint"]}, "one", 404),  # not theirs to know
        ("/training-runs", {**RUN, "model": "theirs"}, "one", 403),
        ("/deployments", {**DEPLOYED, "model": "theirs"}, "two", 403),
        ("/deployments", DEPLOYED, "two", 201),
    ):
        assert api.asked(path, body, keys[key])[0] == status, (path, body)
    assert json.loads(api.kafka.sent[-1].value or b"")["model"] == "churn"
