"""What the history answers, held against a plain recount; each question has an index that serves it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import httpx
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings
from sklearn.metrics import mean_absolute_error, zero_one_loss
from sqlalchemy import Connection, delete, event, text
from typer.testing import CliRunner, Result

from api.app import create_app
from api.services import Services
from app.cli import app
from app.commands.options import CommandError
from app.core.profile_builder import build_profile
from app.history import History, paging, queries
from app.history.columns import cells
from app.history.kinds import HISTORY_KINDS
from app.history.paging import PageOrder
from app.history.retention import Limits, retain
from app.history.tables import PREDICTIONS, metadata
from app.history.wanted import (
    AlertsFilter,
    ChecksFilter,
    DeliveriesFilter,
    DeploymentsFilter,
    HistoryFilter,
    PredictionsFilter,
    TrainingFilter,
)
from app.settings.settings import load_settings
from tests.support.alert_events import alert_event
from tests.support.history_stream import AT, ISO, RUN, Stream, prediction, registered
from tests.support.reports import drift_report, end_of, performance_report
from topics import registry
from topics.events import AlertEvent, DeliveryEvent

N = 300
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
DEPLOYED = {"model": "churn", "model_version": "3", "deployed_at": ISO, "source": "register"}


def made() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Predictions of three versions, labels and numbers, and the truth of most."""
    rng = random.Random(4)
    events, truths = [], []
    for i in range(N):
        model, version = rng.choice([("churn", "2"), ("churn", "3"), ("price", "1")])
        value: str | float = rng.choice(["stays", "goes"]) if model == "churn" else round(rng.uniform(1, 9), 3)
        likely = round(rng.random(), 3) if model == "churn" else None
        events.append(
            prediction(f"p{i}", model=model, model_version=version, prediction=value, timestamp=AT + i,
                       probability=likely)
        )  # fmt: skip
        if rng.random() < 0.7:
            actual = rng.choice(["stays", "goes"]) if model == "churn" else round(rng.uniform(1, 9), 3)
            truths.append({"prediction_id": f"p{i}", "actual": actual})
    return events, truths


def raised() -> list[AlertEvent]:
    """Transitions of two models, in the order in which they came."""
    drift = alert_event("a0", level="critical", fingerprint="drift")
    labels = {"model": "churn", "model_version": "3"}
    traffic = alert_event("a1", rule="traffic", labels=labels, level="warning", fingerprint="traffic")
    over = alert_event("a2", status="resolved", fingerprint="drift", ended_at=drift.started_at + timedelta(hours=1))
    later = alert_event("a3", labels=drift.labels | {"model_version": "4"}, fingerprint="later")
    return [
        msgspec.structs.replace(one, emitted_at=one.emitted_at + timedelta(minutes=i))
        for i, one in enumerate((drift, traffic, over, later))
    ]


def told() -> list[DeliveryEvent]:
    """What was told of them, and of an alert that the history does not have."""
    alerts = raised()
    what: list[tuple[AlertEvent, str, Literal["delivered", "failed"]]] = [
        (alerts[0], "slack", "delivered"), (alerts[0], "email", "failed"), (alerts[1], "slack", "delivered"),
        (alert_event("gone"), "slack", "delivered"),
    ]  # fmt: skip
    return [
        DeliveryEvent(
            alert_id=alert.alert_id,
            fingerprint=alert.fingerprint,
            channel=channel,
            outcome=outcome,
            attempts=i + 1,
            detail="HTTP 200",
            delivered_at=alerts[-1].emitted_at + timedelta(seconds=i),
            notification_id=f"n{i}",
            reason="first",
        )
        for i, (alert, channel, outcome) in enumerate(what)
    ]


PRINTED = next(kind.columns for kind in HISTORY_KINDS if kind.name == "performance")
REFERENCES = {
    "3": build_profile("churn", "3", "binary", {}, ["goes", "stays"]),
    "1": build_profile("price", "1", "regression", {}, np.array([1.0, 2.0, 4.0])),
}


def filled(history: History) -> Stream:
    stream = Stream(history)
    events, truths = made()
    stream.write(registry.PREDICTIONS, *events)
    stream.write(registry.FEEDBACK, *truths)
    stream.write(registry.TRAINING_RUNS, RUN, {**RUN, "run_id": "r0", "finished_at": "2026-02-01T12:00:00Z"})
    stream.write(registry.DEPLOYMENTS, DEPLOYED, {**DEPLOYED, "model": "price", "deployed_at": "2026-03-02T00:00:00Z"})
    stream.write(registry.ALERTS, *raised())
    stream.write(registry.DELIVERIES, *told())
    stream.write(
        registry.REPORTS, *(drift_report(i) for i in range(5)), drift_report(2, revision=2, drift_detected=True),
        performance_report(1),
    )  # fmt: skip
    return stream


def ask(history: History, question: Callable[..., list[Any]], wanted: HistoryFilter) -> list[Any]:
    with history.reading() as connection:
        return question(connection, wanted)


def test_predictions_are_found_by_every_filter(history: History) -> None:
    filled(history)
    events, truths = made()
    actual = {one["prediction_id"]: one["actual"] for one in truths}

    def check(keep: Callable[[dict[str, Any]], bool], **wanted: Any) -> None:
        found = ask(history, queries.predictions, PredictionsFilter(limit=N, **wanted))
        expected = [one["prediction_id"] for one in reversed(events) if keep(one)]
        assert [one.prediction_id for one in found] == expected
        assert 0 < len(found) <= N

    def since(one: dict[str, Any]) -> bool:
        return bool(AT + 50 <= one["timestamp"] < AT + 150)

    times = {"since": datetime.fromtimestamp(AT + 50, UTC), "until": datetime.fromtimestamp(AT + 150, UTC)}
    check(lambda one: True)
    check(lambda one: one["model"] == "churn", model="churn")
    check(lambda one: (one["model"], one["model_version"]) == ("churn", "3"), model="churn", model_version="3")
    check(lambda one: since(one) and one["model"] == "churn", model="churn", **times)
    check(lambda one: one["prediction_id"] == "p7", prediction_id="p7")
    check(lambda one: one["prediction"] == "goes", prediction="goes")
    check(lambda one: one["prediction_id"] not in actual, feedback=False)
    check(lambda one: actual.get(one["prediction_id"], one["prediction"]) != one["prediction"], wrong=True)
    newest = ask(history, queries.predictions, PredictionsFilter(model="churn", limit=3))
    assert [one.prediction_id for one in newest] == [
        one["prediction_id"] for one in reversed(events) if one["model"] == "churn"
    ][:3]
    sent = next(one for one in events if one["prediction_id"] == newest[0].prediction_id)
    assert (newest[0].features, newest[0].prediction) == (sent["features"], sent["prediction"])


def test_performance_of_each_version_equals_a_recount(history: History) -> None:
    filled(history)
    events, truths = made()
    actual = {one["prediction_id"]: one["actual"] for one in truths}
    found = ask(history, queries.performance, HistoryFilter())
    assert {(one.model, one.model_version) for one in found} == {("churn", "2"), ("churn", "3"), ("price", "1")}
    for one in found:
        own = [e for e in events if (e["model"], e["model_version"]) == (one.model, one.model_version)]
        known = [(e["prediction"], actual[e["prediction_id"]]) for e in own if e["prediction_id"] in actual]
        wrong = [made != true for made, true in known]
        assert (one.predictions, one.with_feedback) == (len(own), len(known))
        assert one.error_rate == pytest.approx(sum(wrong) / len(wrong))
        if one.model == "price":
            assert one.average_prediction == pytest.approx(sum(e["prediction"] for e in own) / len(own))
            assert one.average_error == pytest.approx(sum(abs(m - t) for m, t in known) / len(known))
            assert one.average_probability is None
        else:
            assert one.average_prediction is None
            assert one.average_error == one.error_rate
            assert one.average_probability == pytest.approx(sum(e["probability"] for e in own) / len(own))
        assert one.last.timestamp() == max(e["timestamp"] for e in own)


def test_silence_is_a_truth_in_the_performance_of_versions_that_have_a_default(history: History) -> None:
    """The figures are those of scikit-learn with the truth that silence means, whenever it was registered."""
    stream = filled(history)
    defaults: dict[tuple[str, str], Any] = {("churn", "3"): "stays", ("price", "1"): 2.5}
    stream.write(registry.MODELS, registered(REFERENCES["3"], "stays"), registered(REFERENCES["1"], 7))
    times = [AT - 90_000 + 600 * i for i in range(40)]  # whole hours, and a part of one
    made = [prediction(f"q{i}", timestamp=at, prediction="goes") for i, at in enumerate(times)]
    price = {"model": "price", "model_version": "1"}
    made += [prediction(f"r{i}", timestamp=at, prediction=i / 4, **price) for i, at in enumerate(times)]
    stream.write(registry.PREDICTIONS, *made)
    stream.write(registry.FEEDBACK, {"prediction_id": "q3", "actual": "goes"}, {"prediction_id": "r7", "actual": 1})
    stream.write(registry.MODELS, registered(REFERENCES["1"], 2.5))
    rows = stream.rows(PREDICTIONS)
    found = ask(history, queries.performance, HistoryFilter())
    for one in found:
        version = one.model, one.model_version
        own = [row for row in rows if (row["model"], row["model_version"]) == version]
        told = one.default_truth
        assert (told is None) == (version not in defaults)
        printed = dict(zip(PRINTED, cells(PRINTED, one), strict=True))
        assert printed["by default"] == ("" if told is None else str(told.predictions))
        if told is None:
            continue
        newest = max(row["predicted_at"] for row in own).timestamp()
        whole = [row for row in own if (row["predicted_at"].timestamp() // 60 + 1) * 60 <= newest - 100]
        silent = [row for row in whole if row["actual"] is None]
        assert 0 < len(silent) < len(whole) < len(own)
        assert (told.value, told.after_seconds, told.predictions, told.left_out) == (
            defaults[version], 100, len(silent), len(own) - len(whole)
        )  # fmt: skip
        assert max(row["predicted_at"] for row in whole) < told.until <= one.last - timedelta(seconds=100)
        assert one.with_feedback == sum(row["actual"] is not None for row in own)
        labels = [row["prediction"] for row in whole]
        truth = [defaults[version] if row["actual"] is None else row["actual"] for row in whole]
        assert one.error_rate == pytest.approx(zero_one_loss(list(map(str, truth)), labels))
        if one.model == "price":
            errors = mean_absolute_error(list(map(float, truth)), list(map(float, labels)))
            assert one.average_error == pytest.approx(errors)
        else:
            assert one.average_error == one.error_rate
    since = next(one.default_truth.until for one in found if one.model_version == "3")
    (young,) = ask(history, queries.performance, HistoryFilter(model="churn", model_version="3", since=since))
    assert (young.default_truth.predictions, young.default_truth.left_out) == (0, young.predictions)
    assert (young.error_rate, young.average_error) == (None, None)
    stream.write(registry.MODELS, registered(REFERENCES["3"], None))
    (plain,) = ask(history, queries.performance, HistoryFilter(model="churn", model_version="3"))
    own = [row for row in rows if (row["model"], row["model_version"]) == ("churn", "3") and row["actual"] is not None]
    assert plain.default_truth is None
    assert plain.error_rate == pytest.approx(zero_one_loss([r["actual"] for r in own], [r["prediction"] for r in own]))


@given(data=strategies.data())
@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_performance_of_any_span_equals_a_recount(history: History, data: strategies.DataObject) -> None:
    """Predictions come twice, truth comes before them, after them and again; retention takes some.

    Registrations come between them, with other default truths.
    """
    emptied_of(history)
    defaults: dict[str, tuple[Any, float, float] | None] = {}
    stream, draw = Stream(history), data.draw
    number = strategies.none() | strategies.sampled_from([0.0, 0.1, 0.75, 1.0])
    label = strategies.sampled_from(["a", "b", 1, 2.5, True, -1e12])
    hours = strategies.integers(0, 100) | strategies.integers(0, 3)  # also several within one hour
    moment = strategies.builds(lambda h, m: timedelta(hours=h, minutes=m), hours, strategies.sampled_from([0, 20, 40]))
    for step in range(draw(strategies.integers(1, 6))):
        stream.clock = BEGIN + timedelta(days=step)
        if draw(strategies.integers(0, 3)) == 0:
            version, wait = draw(strategies.sampled_from("34")), draw(strategies.sampled_from([600.0, 20_000.0, 1e5]))
            value = draw(strategies.sampled_from(["a", "b", None] if version == "3" else [1, 2.5, -1e12, None]))
            pane = draw(strategies.sampled_from([600.0, 3600.0, 5000.0]))
            stream.write(registry.MODELS, registered(OTHERS[version], value, wait, pane))
            defaults[version] = None if value is None else (value, wait, pane)
        elif draw(strategies.booleans()):
            events = [
                prediction(
                    f"p{draw(strategies.integers(0, 20))}", model_version=draw(strategies.sampled_from("34")),
                    timestamp=(BEGIN + draw(moment)).timestamp(),
                    prediction=draw(label), probability=draw(number),
                ) for _ in range(draw(strategies.integers(1, 12)))
            ]  # fmt: skip
            stream.write(registry.PREDICTIONS, *events)
        else:
            ids = draw(strategies.lists(strategies.integers(0, 20), min_size=1, max_size=12))
            stream.write(registry.FEEDBACK, *({"prediction_id": f"p{i}", "actual": draw(label)} for i in ids))
    if draw(strategies.booleans()):
        retain(history, Limits(draw(strategies.integers(1, 5)), 10_000), now=lambda: BEGIN + timedelta(days=6))
    bound = strategies.none() | moment.map(lambda since: BEGIN + since)
    since, until = draw(bound), draw(bound)
    found = ask(history, queries.performance, HistoryFilter(since=since, until=until))
    rows = [
        row for row in stream.rows(PREDICTIONS)
        if (since is None or row["predicted_at"] >= since) and (until is None or row["predicted_at"] < until)
    ]  # fmt: skip
    assert sorted(one.model_version for one in found) == sorted({row["model_version"] for row in rows})
    for one in found:
        own = [row for row in rows if row["model_version"] == one.model_version]
        known = [row for row in own if row["actual"] is not None]
        assert (one.predictions, one.with_feedback) == (len(own), len(known))
        default = defaults.get(one.model_version)
        assert (one.default_truth is None) == (default is None)
        if default is not None:
            known = with_silence(own, stream.rows(PREDICTIONS), *default)
            assert (one.default_truth.value, one.default_truth.left_out) == (default[0], len(own) - len(known))
        wrong = [row["prediction"] != row["actual"] for row in known]
        errors = [error_of(row) for row in known]
        assert (one.first, one.last) == (min(r["predicted_at"] for r in own), max(r["predicted_at"] for r in own))
        assert one.error_rate == mean_of(wrong)
        assert one.average_error == near(errors)
        for told, column in ((one.average_prediction, "prediction_value"), (one.average_probability, "probability")):
            values = [row[column] for row in own if row[column] is not None and math.isfinite(row[column])]
            assert told == near(values), column


OTHERS = {
    "3": build_profile("churn", "3", "binary", {}, ["a", "b"]),
    "4": build_profile("churn", "4", "regression", {}, np.array([1.0, 2.0, 4.0])),
}


def with_silence(
    own: list[dict[str, Any]], rows: list[dict[str, Any]], value: Any, after: float, pane: float
) -> list[dict[str, Any]]:
    """Rows of panes that ended `after` before their version's newest row, those without truth with the default."""
    times = [row["predicted_at"] for row in rows if row["model_version"] == own[0]["model_version"]]
    now = min(max(times), max(row["recorded_at"] for row in rows)).timestamp()
    whole = [row for row in own if (row["predicted_at"].timestamp() // pane + 1) * pane <= now - after]
    number = None if isinstance(value, str) else float(value)
    default = {"actual": "-1000000000000" if value == -1e12 else str(value), "actual_value": number}
    return [row if row["actual"] is not None else {**row, **default} for row in whole]


def error_of(row: dict[str, Any]) -> float:
    if row["prediction_value"] is None or row["actual_value"] is None:
        return float(row["prediction"] != row["actual"])
    return float(abs(row["prediction_value"] - row["actual_value"]))


def near(values: Sequence[float]) -> object:
    mean = mean_of(values)
    return None if mean is None else pytest.approx(mean, rel=1e-9)


def mean_of(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def emptied_of(history: History) -> None:
    with history.writing() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))


def test_of_each_window_the_newest_revision_is_found(history: History) -> None:
    filled(history)
    found = ask(history, queries.drift_checks, ChecksFilter(model="income", model_version="3"))
    assert [(one.window_end, one.revision) for one in found] == [(end_of(i), 1 + (i == 2)) for i in (4, 3, 2, 1, 0)]
    assert found[2].detected
    assert all(one.report is None for one in found)
    assert len(ask(history, queries.drift_checks, ChecksFilter(every=True))) == 6
    (detected,) = ask(history, queries.drift_checks, ChecksFilter(detected=True, report=True))
    assert detected.report["window_end"] == end_of(2).isoformat().replace("+00:00", "Z")
    (judged,) = ask(history, queries.drift_checks, ChecksFilter(kind="performance"))
    assert judged.window_end == end_of(1)


def test_trainings_and_deployments_come_newest_first(history: History) -> None:
    stream = filled(history)
    assert [one.run_id for one in ask(history, queries.training_runs, HistoryFilter(model="churn"))] == ["r1", "r0"]
    assert [one.model for one in ask(history, queries.deployments, HistoryFilter())] == ["price", "churn"]
    assert ask(history, queries.training_runs, HistoryFilter(until=datetime(2026, 1, 1, tzinfo=UTC))) == []
    anew = {**RUN, "run_id": "r2", "is_retraining": True, "environment": "batch", "metadata": {"commit": "3f2a"}}
    there = {**DEPLOYED, "source": "external", "environment": "production", "status": "rolled back"}
    stream.write(registry.TRAINING_RUNS, {**anew, "status": "failed"}, {**RUN, "run_id": "r3"})
    stream.write(registry.DEPLOYMENTS, there)
    for wanted in (
        TrainingFilter(is_retraining=True), TrainingFilter(environment="batch"), TrainingFilter(status="failed"),
    ):  # fmt: skip
        (found,) = ask(history, queries.training_runs, wanted)
        assert (found.run_id, found.is_retraining, found.metadata) == ("r2", True, {"commit": "3f2a"})
    assert len(ask(history, queries.training_runs, TrainingFilter(is_retraining=False))) == 3
    for where in (DeploymentsFilter(environment="production"), DeploymentsFilter(status="rolled back")):
        (deployed,) = ask(history, queries.deployments, where)
        assert (deployed.source, deployed.environment, deployed.status) == ("external", "production", "rolled back")


def test_alerts_are_found_by_every_filter(history: History) -> None:
    filled(history)

    def check(keep: Callable[[AlertEvent], bool], **wanted: Any) -> None:
        found = ask(history, queries.alerts, AlertsFilter(**wanted))
        expected = [one for one in reversed(raised()) if keep(one)]
        assert 0 < len(expected) < 4 or not wanted
        assert [
            (one.alert_id, one.fingerprint, one.status, one.level, one.rule, one.labels, one.evidence, one.started_at,
             one.ended_at, one.emitted_at) for one in found
        ] == [
            (one.alert_id, one.fingerprint, one.status, one.level, one.rule, one.labels, one.evidence, one.started_at,
             one.ended_at, one.emitted_at) for one in expected
        ]  # fmt: skip
        assert {(one.model, one.model_version) for one in found} == {
            (one.labels["model"], one.labels["model_version"]) for one in expected
        }

    second = raised()[1].emitted_at
    check(lambda one: True)
    check(lambda one: one.labels["model"] == "income", model="income")
    check(lambda one: one.alert_id in ("a0", "a2"), model="income", model_version="3")
    check(lambda one: one.emitted_at >= second, since=second)
    check(lambda one: one.emitted_at < second, until=second)
    check(lambda one: one.alert_id == "a2", alert_id="a2")
    check(lambda one: one.status == "resolved", status="resolved")
    check(lambda one: one.level == "critical", level="critical")
    check(lambda one: one.rule == "traffic", rule="traffic")
    assert [one.alert_id for one in ask(history, queries.alerts, AlertsFilter(limit=2))] == ["a3", "a2"]


def test_deliveries_are_found_by_every_filter_with_what_they_told_of(history: History) -> None:
    filled(history)
    known = {one.alert_id: one for one in raised()}

    def check(keep: Callable[[DeliveryEvent], bool], **wanted: Any) -> None:
        found = ask(history, queries.deliveries, DeliveriesFilter(**wanted))
        expected = [one for one in reversed(told()) if keep(one)]
        assert 0 < len(expected) < 4 or not wanted
        assert [(one.notification_id, one.channel, one.outcome, one.attempts, one.delivered_at) for one in found] == [
            (one.notification_id, one.channel, one.outcome, one.attempts, one.delivered_at) for one in expected
        ]
        for one in found:
            alert = known.get(one.alert_id)
            assert one.title == (alert and alert.title)
            assert one.model == (alert and alert.labels["model"])
            assert one.model_version == (alert and alert.labels["model_version"])

    third = told()[2].delivered_at
    check(lambda one: True)
    check(lambda one: one.alert_id == "a0", model="income")
    check(lambda one: one.alert_id == "a1", model="churn", model_version="3")
    check(lambda one: one.delivered_at >= third, since=third)
    check(lambda one: one.delivered_at < third, until=third)
    check(lambda one: one.alert_id == "a0", alert_id="a0")
    check(lambda one: one.channel == "slack", channel="slack")
    check(lambda one: one.outcome == "failed", outcome="failed")
    assert len(ask(history, queries.deliveries, DeliveriesFilter(limit=2))) == 2


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"model_version": "3"}, "model_version"),
        ({"model": "a\x00"}, "model"),
        ({"since": datetime(1, 1, 1, tzinfo=UTC)}, "since"),
        ({"until": datetime(9999, 12, 31, tzinfo=UTC)}, "until"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named(wanted: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        HistoryFilter(**wanted)


NAMES = ("a", "B", "b", "é", "Z", "z-1", "z_1", "10", "9", "\U0001f40b")
"""Which a database's language sorts otherwise than Python does."""
TIES = [AT, AT, AT + 1, AT, AT + 1, AT, AT, AT + 2, AT, AT]


def with_ties(history: History) -> Stream:
    """Rows of every list, many at the same time."""
    stream = Stream(history)
    keys = list(zip(NAMES, TIES, strict=True))
    versions = [("churn", "1.10"), ("churn", "1.9"), ("Äpfel", "1")]
    stream.write(
        registry.PREDICTIONS,
        *(prediction(key, model=m, model_version=v, timestamp=at) for m, v in versions for key, at in keys),
    )
    stream.write(registry.TRAINING_RUNS, *({**RUN, "run_id": key} for key in NAMES))
    stream.write(registry.DEPLOYMENTS, *({**DEPLOYED, "model": key, "status": v} for key in NAMES for v in "12"))
    stream.write(registry.ALERTS, *(alert_event(key, fingerprint=key) for key in NAMES))
    delivery = {
        "alert_id": "a1", "fingerprint": "f", "channel": "slack", "outcome": "failed", "attempts": 2,
        "detail": "", "delivered_at": ISO, "notification_id": "n1", "reason": "new",
    }  # fmt: skip
    stream.write(registry.DELIVERIES, *({**delivery, "alert_id": a, "channel": c} for a in NAMES for c in "aB"))
    stream.write(
        registry.REPORTS,
        *(drift_report(i, revision=r, model=key) for key in NAMES for i in range(2) for r in (1, 2)),
    )
    return stream


IN_PARTS: list[tuple[Callable[..., list[Any]], HistoryFilter, PageOrder, int]] = [
    (queries.predictions, PredictionsFilter(), paging.PREDICTIONS, 30),
    (queries.predictions, PredictionsFilter(model="churn"), paging.PREDICTIONS, 20),
    (queries.predictions, PredictionsFilter(model="churn", model_version="1.10"), paging.PREDICTIONS, 10),
    (queries.performance, HistoryFilter(), paging.PERFORMANCE, 3),
    (queries.training_runs, HistoryFilter(), paging.TRAINING, 10),
    (queries.deployments, HistoryFilter(), paging.DEPLOYMENTS, 20),
    (queries.alerts, AlertsFilter(), paging.ALERTS, 10),
    (queries.deliveries, DeliveriesFilter(), paging.DELIVERIES, 20),
    (queries.drift_checks, ChecksFilter(), paging.DRIFT, 20),
    (queries.drift_checks, ChecksFilter(every=True), paging.DRIFT, 40),
]


def test_the_parts_of_a_list_are_the_whole_of_it_though_times_are_equal(history: History) -> None:
    stream = with_ties(history)
    for question, wanted, order, n in IN_PARTS:
        whole = ask(history, question, replace(wanted, limit=1000))
        assert len(whole) == n
        times = [order.key(one)[0] for one in whole]
        assert times == sorted(times, reverse=True)
        for size in (1, 7, n):
            parts = in_parts(history, question, wanted, order, size)
            assert [one for part in parts for one in part] == whole, (order.name, size)
    first, *_ = in_parts(history, queries.predictions, PredictionsFilter(), paging.PREDICTIONS, 7)
    stream.write(registry.PREDICTIONS, prediction("newer", timestamp=AT + 3))
    key = paging.PREDICTIONS.key(first[-1])
    rest = ask(history, queries.predictions, PredictionsFilter(limit=1000, after=key))
    assert len({(one.prediction_id, one.model, one.model_version) for one in first + rest}) == 30
    assert len(first + rest) == 30


def in_parts(
    history: History, question: Callable[..., list[Any]], wanted: HistoryFilter, order: PageOrder, size: int
) -> list[list[Any]]:
    """A list in parts of a size, as a caller reads it who gives the cursor of each for the next."""
    parts: list[list[Any]] = []
    after = None
    while True:
        parts.append(ask(history, question, replace(wanted, limit=size, after=after)))
        if len(parts[-1]) < size:
            return parts
        after = order.read(order.cursor(parts[-1][-1]))


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "é", "=" * 9, paging.TRAINING.cursor(SimpleNamespace(finished_at=BEGIN, run_id="r")),
        *(paging.encode_cursor("predictions", key) for key in [
            (), (BEGIN,), (1, "a", "b", "c"), ("2026-06-01T00:00:00", "a", "b", "c"), (BEGIN, "a", "b", "\0"),
            ("0001-01-01T00:00:00Z", "a", "b", "c"), (BEGIN, 1, "b", "c"), (BEGIN, "a", "b", "c", "d"),
        ]),
        paging.encode_cursor("drift", (BEGIN, 2**63, "m", "1")),
    ],
)  # fmt: skip
def test_a_cursor_of_nobody_is_refused(cursor: str) -> None:
    for order in (paging.PREDICTIONS, paging.DRIFT):
        with pytest.raises(paging.CursorError, match="give `next`"):
            order.read(cursor)


QUESTIONS: list[tuple[Callable[..., list[Any]], HistoryFilter, str]] = [
    (queries.predictions, PredictionsFilter(), "ix_predictions_predicted"),
    (queries.predictions, PredictionsFilter(model="churn"), "ix_predictions_version"),
    (queries.predictions, PredictionsFilter(model="churn", model_version="3"), "ix_predictions_version"),
    (queries.predictions, PredictionsFilter(prediction_id="p1"), "pk_predictions"),
    (queries.performance, HistoryFilter(model="churn", model_version="3"), "ix_predictions_version"),
    (queries.performance, HistoryFilter(model="churn", since=datetime(2026, 1, 1, 5, tzinfo=UTC)), "ix_predictions_"),
    (queries.drift_checks, ChecksFilter(), "ix_drift_checks_kind"),
    (queries.drift_checks, ChecksFilter(model="churn", model_version="3"), "pk_drift_checks"),
    (queries.training_runs, HistoryFilter(), "ix_training_runs_finished"),
    (queries.training_runs, HistoryFilter(model="churn", model_version="3"), "ix_training_runs_version"),
    (queries.deployments, HistoryFilter(), "ix_model_deployments_deployed"),
    (queries.deployments, HistoryFilter(model="churn", model_version="3"), "pk_model_deployments"),
    (queries.alerts, AlertsFilter(), "ix_alerts_emitted"),
    (queries.alerts, AlertsFilter(model="churn", model_version="3"), "ix_alerts_version"),
    (queries.alerts, AlertsFilter(alert_id="a1"), "pk_alerts"),
    (queries.deliveries, DeliveriesFilter(), "ix_deliveries_delivered"),
    (queries.deliveries, DeliveriesFilter(alert_id="a1"), "pk_deliveries"),
    (queries.deliveries, DeliveriesFilter(model="churn", model_version="3"), "_deliveries"),
    (queries.predictions, PredictionsFilter(after=(BEGIN, "p1", "churn", "3")), "ix_predictions_predicted"),
    (
        queries.predictions,
        PredictionsFilter(model="churn", after=(BEGIN, "p1", "churn", "3")),
        "ix_predictions_version",
    ),
    (queries.drift_checks, ChecksFilter(after=(BEGIN, 1, "churn", "3")), "ix_drift_checks_kind"),
    (queries.alerts, AlertsFilter(after=(BEGIN, "a1")), "ix_alerts_emitted"),
]


def test_each_question_is_served_by_an_index(history: History) -> None:
    filled(history)
    with history.reading() as connection:
        if history.path is None:  # a table of 300 rows is read as a whole, unless that is ruled out
            connection.execute(text("ANALYZE"))  # else the plans are those of before or after an autovacuum
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        for question, wanted, index in QUESTIONS:
            for plan in plans(connection, lambda: question(connection, wanted)):  # noqa: B023
                if "prediction_days" in plan or "prediction_hours" in plan:
                    continue
                if "default_truths" in plan:
                    assert "pk_default_truths" in plan or "sqlite_autoindex_default_truths" in plan, plan
                    continue
                named = index.replace("pk_", "sqlite_autoindex_") if history.path is not None else index
                assert named in plan, (wanted, plan)
                assert "Seq Scan" not in plan
                assert "SCAN predictions" not in plan or "USING INDEX" in plan


def plans(connection: Connection, run: Callable[[], object]) -> list[str]:
    """How the database goes about each statement that is run."""
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        statements.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    run()
    event.remove(connection, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    found = []
    for statement, parameters in statements:
        rows = connection.exec_driver_sql(explain + statement, parameters)
        found.append(statement.split("FROM", 1)[1][:20] + "\n" + "\n".join(str(row[-1]) for row in rows))
    return found


def driftline(*arguments: str, folder: Path) -> Result:
    return CliRunner().invoke(app, ["history", *arguments, "--state-dir", str(folder)])


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    with closing(History(tmp_path / "history.db")) as history:
        history.prepare()
        filled(history)
    return tmp_path


def test_the_command_line_prints_it(state_dir: Path) -> None:
    answer = driftline("predictions", "--model", "churn", "--limit", "2", "--json", folder=state_dir)
    assert answer.exit_code == 0, answer.output
    found = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [one["model"] for one in found] == ["churn", "churn"]
    answer = driftline("alerts", "--level", "critical", "--status", "firing", "--json", folder=state_dir)
    assert [json.loads(line)["alert_id"] for line in answer.stdout.splitlines()] == ["a0"]
    failed = driftline("deliveries", "--outcome", "failed", folder=state_dir).stdout.splitlines()
    assert failed[0].split()[:3] == ["time", "channel", "outcome"]
    assert [line.split()[2:4] for line in failed[1:]] == [["email", "failed"]]
    table = driftline("performance", folder=state_dir).stdout.splitlines()
    assert table[0].split()[:3] == ["model", "version", "predictions"]
    assert len(table) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["drift", "--version", "3"], "model_version: versions are a model's; give model too"),
        (["training", "--since", "yesterday"], "--since: 'yesterday' is no moment"),
    ],
)
def test_the_command_line_names_what_is_wrong(tmp_path: Path, arguments: list[str], words: str) -> None:
    answer = driftline(*arguments, folder=tmp_path)
    assert isinstance(answer.exception, CommandError)
    assert words in str(answer.exception)


async def test_the_api_answers_it_and_says_what_is_wrong(state_dir: Path, tmp_path_factory: Any) -> None:
    async with client(state_dir) as http:
        found = (await http.get("/history/predictions", params={"model": "churn", "limit": 2})).json()
        assert [one["model"] for one in found["predictions"]] == ["churn", "churn"]
        first = (await http.get("/history/predictions")).json()
        rest = (await http.get("/history/predictions", params={"limit": 1000, "cursor": first["next"]})).json()
        assert (len(first["predictions"]), len(rest["predictions"])) == (100, N - 100)
        assert len((await http.get("/history/performance")).json()["performance"]) == 3
        assert len((await http.get("/history/drift", params={"every": True})).json()["drift"]) == 6
        assert len((await http.get("/history/training")).json()["training"]) == 2
        assert len((await http.get("/history/deployments")).json()["deployments"]) == 2
        (critical,) = (await http.get("/history/alerts", params={"level": "critical"})).json()["alerts"]
        assert (critical["alert_id"], critical["evidence"]) == ("a0", {"n": 1000})
        given_up = (await http.get("/history/deliveries", params={"alert_id": "a0", "outcome": "failed"})).json()
        assert [one["channel"] for one in given_up["deliveries"]] == ["email"]
        for wrong in ({"model_version": "3"}, {"limit": 0}, {"since": "0001-01-01T00:00:00+14:00"}, {"model": "\0"}):
            refused = await http.get("/history/predictions", params=wrong)
            assert refused.status_code == 422, wrong
            assert next(iter(wrong)) in refused.json()["detail"]
        for name in ("predictions", "performance", "drift", "training", "deployments", "alerts", "deliveries"):
            whole = (await http.get(f"/history/{name}", params={"limit": 1000})).json()
            assert whole["next"] is None
            size = max(2, len(whole[name]) // 5)
            rows: list[Any] = []
            cursor: dict[str, str] = {}
            while cursor or not rows:
                part = (await http.get(f"/history/{name}", params={"limit": size, **cursor})).json()
                rows += part[name]
                assert len(part[name]) == size or part["next"] is None
                cursor = {"cursor": part["next"]} if part["next"] else {}
            assert rows == whole[name]
            refusals: list[tuple[dict[str, Any], str]] = [
                ({"since": "2026-06-01T12:00:00"}, "since: has no time zone; write it as 2026-06-01T12:00:00Z"),
                ({"until": "2026-06-01T12:00:00 02:00"}, "(a + is %2B in a URL)"), ({"until": "2026-06-01"}, "until: "),
                ({"cursor": "x"}, "cursor: is not one of this list"),
                ({"colour": "3"}, "colour: is no parameter here; there are "),
                ({"modle": "churn"}, "modle: is no parameter here (did you mean model?)"),
                ({"limit": ["1", "2"]}, "limit: is given 2 times"),
            ]  # fmt: skip
            for asked, words in refusals:
                refused = await http.get(f"/history/{name}", params=asked)
                assert (refused.status_code, words in refused.json()["detail"]) == (422, True), refused.text
    async with client(tmp_path_factory.mktemp("empty")) as http:
        missing = await http.get("/history/predictions")
        assert missing.status_code == 503
        assert "driftline recorder" in missing.json()["detail"]


def client(state_dir: Path) -> httpx.AsyncClient:
    """The application without a broker: the history asks for none."""
    settings = load_settings(bootstrap_servers="127.0.0.1:1", state_dir=state_dir)
    application = create_app(settings)
    application.state.services = Services(settings, None)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://127.0.0.1:8700")
