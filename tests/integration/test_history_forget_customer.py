"""A customer is forgotten: nothing is left in the history's file, its exports and what is recorded later."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from sqlalchemy import event
from typer.testing import CliRunner

from app.cli import app
from app.core.values.hiding import Hiding
from app.history import History
from app.history.exporting import expire, export
from app.history.forgetting import ForgetRequest, forget, forget_exports
from app.history.queries import performance
from app.history.tables import (
    ALERTS,
    DRIFT_CHECKS,
    FORGOTTEN,
    MODEL_DEPLOYMENTS,
    PREDICTION_DAYS,
    PREDICTIONS,
    TRAINING_RUNS,
    WAITING_FEEDBACK,
)
from app.history.wanted import HistoryFilter as Asked
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.alert_events import of_rule
from tests.support.history_stream import ISO, Stream, prediction
from tests.support.kafka_topics import records_of
from tests.support.reports import drift_report, feature
from topics import registry
from topics.events import AuditEvent
from topics.registry import AUDIT
from topics.registry import PREDICTIONS as PREDICTIONS_TOPIC

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WHO = "C-0042-aino"
WANTED = ForgetRequest(name="customer", texts=(WHO,))


def of(who: str, key: str, **changes: object) -> dict[str, object]:
    """A prediction about a customer, in its metadata."""
    return prediction(key, **{"metadata": {"customer": who}, "timestamp": "2026-03-01T12:00:00Z", **changes})


def recorded(stream: Stream) -> None:
    """Hers and another's, in features and metadata, with truth and without; alerts and reports that name her."""
    stream.write(
        registry.PREDICTIONS, of(WHO, "hers"), of("C-7", "his"),
        of("C-7", "hers too", features={"customer": WHO, "age": 3}, prediction=1), of(WHO, "hers", model="fraud"),
        of(f"{WHO}-mari", "another", prediction=0),
    )  # fmt: skip
    stream.write(registry.FEEDBACK, *({"prediction_id": key, "actual": "stays"} for key in ("hers", "his", "later")))
    alert = of_rule("unseen_values")
    named = msgspec.structs.replace(alert, message=f"customer: {WHO} is new", evidence={"names": {WHO: 3}, "n": 5})
    stream.write(registry.ALERTS, named)
    column = replace(feature("customer"), unseen_names={WHO: 3, f"{WHO}-mari": 1})
    stream.write(registry.REPORTS, msgspec.structs.replace(drift_report(), features=(column,)))
    version = {"model": "churn", "model_version": "3"}
    stream.write(
        registry.TRAINING_RUNS,
        {**version, "run_id": "r1", "model_type": "x", "status": "completed", "started_at": ISO, "finished_at": ISO,
         "rows": 1, "features": 1, "metrics": {}, "parameters": {"holdout": WHO}, "metadata": {"asked_by": WHO}},
    )  # fmt: skip
    deployment = {**version, "deployed_at": ISO, "source": "external", "detail": f"as {WHO} asked"}
    stream.write(registry.DEPLOYMENTS, deployment, {**deployment, "status": "staged", "detail": "by itself"})


def everything(history: History, folder: Path) -> str:
    """All that any file or table of it holds."""
    with history.reading() as connection:
        tables = [connection.exec_driver_sql(f"SELECT * FROM {table}").all() for table in (
            "predictions", "waiting_feedback", "alerts", "drift_checks", "forgotten", "prediction_days",
            "training_runs", "model_deployments",
        )]  # fmt: skip
    found = [str(tables), *(path.read_text() for path in folder.glob("jsonl/**/*.jsonl"))]
    files = folder.glob("parquet/predictions/**/*.parquet")
    found += [str(duckdb.execute(f"SELECT * FROM '{path}'").fetchall()) for path in files]
    if history.path is not None:
        found += [path.read_bytes().decode("latin-1") for path in history.path.parent.glob(f"{history.path.name}*")]
    return "\n".join(found)


def careless(raw: Any, _record: object) -> None:
    """A SQLite that leaves deleted bytes where they are, as most builds do."""
    raw.execute("PRAGMA secure_delete = OFF")


def test_nothing_of_her_is_left_and_nothing_comes_back(history: History, tmp_path: Path) -> None:
    if history.path is not None:
        event.listen(history.engine, "connect", careless)
        history.engine.dispose()
    stream, folder = Stream(history), tmp_path / "exports"
    recorded(stream)
    export(history, folder, ("jsonl", "parquet"))
    assert WHO in everything(history, folder)
    tried = forget(history, WANTED, NOW, dry_run=True)
    forget_exports(folder, WANTED, tried, dry_run=True)
    assert stream.rows(FORGOTTEN) == []
    done = forget(history, WANTED, NOW, dry_run=False)
    forget_exports(folder, WANTED, done, dry_run=False)
    assert done == tried
    assert (done.predictions, done.ids, done.alerts, done.drift_checks) == (3, {"hers", "hers too"}, 1, 1)
    assert (done.training_runs, done.deployments) == (1, 1)
    assert (done.export_rows, len(done.export_files)) == (6, 4)
    left = everything(history, folder).replace(f"{WHO}-mari", "")
    assert WHO not in left
    assert "hers" not in left
    assert [row["prediction_id"] for row in stream.rows(PREDICTIONS)] == ["another", "his"]
    (alert,), (check,) = stream.rows(ALERTS), stream.rows(DRIFT_CHECKS)
    assert (alert["message"], json.loads(alert["evidence"])["names"]) == (
        "customer: forgotten is new",
        {"forgotten": 3},
    )
    (run,), deployments = stream.rows(TRAINING_RUNS), stream.rows(MODEL_DEPLOYMENTS)
    assert (json.loads(run["parameters"]), json.loads(run["metadata"])) == (
        {"holdout": "forgotten"}, {"asked_by": "forgotten"},
    )  # fmt: skip
    assert {row["detail"] for row in deployments} == {"as forgotten asked", "by itself"}
    assert json.loads(check["report"])["features"][0]["unseen_names"] == {"forgotten": 3, f"{WHO}-mari": 1}
    with history.reading() as connection:
        (found,) = performance(connection, Asked())
    assert (found.model, found.predictions, found.with_feedback, found.average_prediction) == ("churn", 2, 1, 0.0)
    # redelivered, and new; under her ids and under others
    stream.write(registry.PREDICTIONS, of(WHO, "new"), of("C-7", "hers"), of("C-7", "kept"))
    stream.write(registry.FEEDBACK, *({"prediction_id": key, "actual": "stays"} for key in ("hers", "new", "kept")))
    assert [row["prediction_id"] for row in stream.rows(PREDICTIONS)] == ["another", "his", "kept"]
    assert [row["prediction_id"] for row in stream.rows(WAITING_FEEDBACK)] == ["later"]
    export(history, folder, ("jsonl", "parquet"))
    assert WHO not in everything(history, folder).replace(f"{WHO}-mari", "")
    (path,) = folder.glob("jsonl/predictions/churn/3/*.jsonl")
    assert [json.loads(line)["prediction_id"] for line in path.read_text().splitlines()] == ["another", "his", "kept"]
    assert [row["trimmed"] for row in stream.rows(PREDICTION_DAYS)] == [False, False]


def test_one_prediction_is_forgotten_by_its_id(history: History, tmp_path: Path) -> None:
    stream, folder = Stream(history), tmp_path / "exports"
    recorded(stream)
    export(history, folder, ("jsonl", "parquet"))
    for key in ("hers", "later"):
        done = forget(history, ForgetRequest(prediction_id=key), NOW, dry_run=False)
        forget_exports(folder, ForgetRequest(prediction_id=key), done, dry_run=False)
    assert [row["prediction_id"] for row in stream.rows(PREDICTIONS)] == ["another", "hers too", "his"]
    assert stream.rows(WAITING_FEEDBACK) == []
    stream.write(registry.FEEDBACK, {"prediction_id": "later", "actual": 1})
    stream.write(registry.PREDICTIONS, of("C-7", "later"))
    assert "later" not in [row["prediction_id"] for row in stream.rows(PREDICTIONS)]
    assert stream.rows(WAITING_FEEDBACK) == []


def test_files_of_exports_are_over_after_some_days_and_do_not_come_back(history: History, tmp_path: Path) -> None:
    stream = Stream(history)
    stream.write(registry.PREDICTIONS, of("a", "old"))
    export(history, tmp_path, ("jsonl", "parquet"))
    later = datetime.now(UTC)
    stream.write(registry.PREDICTIONS, of("b", "new", timestamp="2026-03-02T12:00:00Z"))
    stream.write(registry.FEEDBACK, {"prediction_id": "old", "actual": 1})
    export(history, tmp_path, ("jsonl", "parquet"))  # the day of before is written anew, and is no younger for that
    assert expire(tmp_path, later - timedelta(days=1)) == []
    assert [path.name for path in expire(tmp_path, later)] == ["2026-03-01.jsonl", "2026-03-01.parquet"]
    stream.write(registry.FEEDBACK, {"prediction_id": "old", "actual": 2})
    assert export(history, tmp_path, ("jsonl", "parquet")) == []
    assert [path.stem for path in tmp_path.glob("*/predictions/**/*.*")] == ["2026-03-02"] * 2


@pytest.mark.parametrize("history", ["sqlite"], indirect=True)
async def test_the_command_finds_hashes_says_what_kafka_keeps_and_is_in_the_audit(
    settings: Settings, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a key that nobody may know, of 32 bytes"
    monkeypatch.setenv("DRIFTLINE_HASH_KEY", key)
    await ensure_topics(settings, [PREDICTIONS_TOPIC])
    hashed = Hiding(frozenset(), frozenset(), key.encode()).value(WHO)
    Stream(history).write(registry.PREDICTIONS, of(str(hashed), "hers"), of("C-7", "his"))
    command = [
        "forget", "--where", f"customer={WHO}", "--bootstrap-servers", str(settings.bootstrap_servers), "--prefix",
        settings.prefix, "--history-url", f"sqlite:///{history.path}", "--json",
    ]  # fmt: skip
    ran = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert told["predictions"] == 1
    until = datetime.fromisoformat(told["kafka"][f"{settings.prefix}predictions"])
    assert timedelta(days=7) < until - datetime.now(UTC) < timedelta(days=14, hours=1)
    events = [msgspec.json.decode(one.value, type=AuditEvent) for one in await records_of(settings, AUDIT)]
    assert [(one.action, one.subject) for one in events] == [("history.forgotten", "customer")]
    assert WHO not in str(events)
    wrong = await asyncio.to_thread(CliRunner().invoke, app, ["forget", "--where", "customer"])
    assert "must be NAME=VALUE" in str(wrong.exception)
