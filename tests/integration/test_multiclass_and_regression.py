"""A multiclass and a regression model through a real worker, window by window against scikit-learn on the rows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pandas as pd
import pytest
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from sklearn import metrics as sklearn
from sklearn.datasets import load_diabetes, load_digits
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.kafka.topics import ensure_topics
from app.registration.monitoring import monitoring_of
from app.registration.publish import register
from app.settings.settings import Settings
from tests.support.paths import DOCS
from tests.support.stream import send, worker
from topics.events import AlertEvent, AnyReport, PerformanceReport, RetrainingEvent
from topics.registry import ALERTS, FEEDBACK, PREDICTIONS, REPORTS, RETRAINING, TOPICS

PANE, PANES, EACH = 60.0, 10, 120
START = 1_700_000_040.0
FAULT = 6
"""The pane with which the fault begins."""
FELL = {("digits", "accuracy"), ("digits", "macro_recall"), ("diabetes", "rmse"), ("diabetes", "mae")}
"""Metrics of which an alert must come."""
WINDOWS = {"pane": PANE, "panes": 2, "allowance": 0, "retention": 864_000, "lateness": 864_000, "idle_after": 2}


@dataclass
class Model:
    """A model's reference, and what it predicts, pane by pane."""

    name: str
    reference: pd.DataFrame
    rows: pd.DataFrame


def in_time(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Rows drawn anew so that every pane has EACH, with their pane and time."""
    n = PANES * EACH
    drawn = rows.iloc[rng.integers(0, len(rows), n)].reset_index(drop=True)
    return drawn.assign(pane=np.arange(n) // EACH, time=START + np.arange(n) * PANE / EACH)


def digits(rng: np.random.Generator) -> Model:
    """Handwritten digits, each with a probability for every class; the fault turns the pictures upside down."""
    bunch = load_digits()
    names = [f"p{i}" for i in range(64)]
    order = rng.permutation(len(bunch.target))
    x, y = bunch.data[order], bunch.target[order]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300)).fit(x[:500], y[:500])

    def told(rows: pd.DataFrame) -> pd.DataFrame:
        p = model.predict_proba(rows[names].to_numpy())
        by_class = [{str(c): float(v) for c, v in zip(model.classes_, row, strict=True)} for row in p]
        return rows.assign(prediction=p.argmax(axis=1).astype(str), probability=by_class)

    frame = pd.DataFrame(x, columns=names).assign(target=y.astype(str))
    rows = in_time(frame[1100:], rng)
    upside_down = rows["pane"] >= FAULT
    rows.loc[upside_down, names] = rows.loc[upside_down, names[::-1]].to_numpy()
    return Model("digits", told(frame[500:1100]), told(rows))


def diabetes(rng: np.random.Generator) -> Model:
    """How diabetes goes on, in a year; with the fault the body mass index comes in other units."""
    bunch = load_diabetes()
    names = list(bunch.feature_names)
    order = rng.permutation(len(bunch.target))
    frame = pd.DataFrame(bunch.data[order], columns=names).assign(target=bunch.target[order])
    model = LinearRegression().fit(frame[:150][names], frame[:150]["target"])
    rows = in_time(frame[300:], rng)
    rows.loc[rows["pane"] >= FAULT, "bmi"] *= 5
    reference = frame[150:300]
    return Model(
        "diabetes",
        reference.assign(prediction=model.predict(reference[names])),
        rows.assign(prediction=model.predict(rows[names])),
    )


def records_of(model: Model) -> list[tuple[str, bytes, bytes]]:
    names = [name for name in model.rows if name not in ("prediction", "probability", "target", "pane", "time")]
    found = []
    for i, row in enumerate(model.rows.to_dict("records")):
        key = f"{model.name}-{i}"
        event = {
            "prediction_id": key, "model": model.name, "model_version": "1", "timestamp": row["time"],
            "features": {name: row[name] for name in names}, "prediction": row["prediction"],
            "probability": row.get("probability"),
        }  # fmt: skip
        found.append((PREDICTIONS.name, key.encode(), msgspec.json.encode(event)))
        answer = {"prediction_id": key, "actual": row["target"]}
        found.append((FEEDBACK.name, key.encode(), msgspec.json.encode(answer)))
    return found


class Seen:
    """The newest performance report of each window, the alerts, and what they ask for."""

    def __init__(self) -> None:
        self.reports: dict[tuple[str, int], PerformanceReport] = {}
        self.alerts: list[AlertEvent] = []
        self.signals: list[RetrainingEvent] = []

    def take(self, topic: str, value: bytes) -> None:
        """Take one record of any topic."""
        if topic.endswith(ALERTS.name):
            self.alerts.append(msgspec.json.decode(value, type=AlertEvent))
        if topic.endswith(RETRAINING.name):
            self.signals.append(msgspec.json.decode(value, type=RetrainingEvent))
        if not topic.endswith(REPORTS.name):
            return
        report = msgspec.json.decode(value, type=AnyReport)
        if isinstance(report, PerformanceReport):
            key = report.model, round((report.window_end.timestamp() - START) / PANE)
            if key not in self.reports or report.revision >= self.reports[key].revision:
                self.reports[key] = report

    def complete(self, models: list[Model]) -> bool:
        """Whether each window has all of its rows, and the alerts that must come are there."""
        whole = all(
            (report := self.reports.get((model.name, end))) is not None
            and (report.n, report.feedback) == (min(end, 2) * EACH,) * 2
            for model in models
            for end in range(1, PANES + 1)
        )
        fell = {(a.labels["model"], a.labels["metric"]) for a in self.alerts if a.rule == "performance"}
        return whole and fell >= FELL and {signal.model for signal in self.signals} == {"digits", "diabetes"}


async def read_all(settings: Settings, take: Callable[[str, bytes], None], enough: Callable[[], bool]) -> None:
    """Read every topic from its beginning until it is enough; a minute at most."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    consumer.subscribe([topic.full_name(settings.prefix) for topic in TOPICS])
    await consumer.start()
    try:
        deadline = time.monotonic() + 60
        while not enough() and time.monotonic() < deadline:
            for partition, run in (await consumer.getmany(timeout_ms=100)).items():
                for record in run:
                    take(partition.topic, record.value or b"")
    finally:
        await consumer.stop()


async def test_both_are_judged_as_scikit_learn_judges_their_rows(settings: Settings) -> None:
    rng = np.random.default_rng(42)
    models = [digits(rng), diabetes(rng)]
    await ensure_topics(settings)
    for model in models:
        file = monitoring_of({
            "windows": WINDOWS, "performance": {"min_samples": 100}, "drift": {"min_samples": 100},
            "columns": {"target": "target"},
        })  # fmt: skip
        await register(settings, model.name, "1", model.reference, file)
    seen = Seen()
    schemas = Schemas(settings.prefix)
    with worker(settings):
        for model in models:
            await send_all(settings, model)
        await read_all(settings, both(seen.take, schemas.check), lambda: seen.complete(models))
    assert seen.complete(models)
    for model in models:
        for end in range(1, PANES + 1):
            inside = model.rows[(model.rows["pane"] < end) & (model.rows["pane"] >= end - 2)]
            judged = multiclass if model.name == "digits" else regression
            judged(seen.reports[model.name, end], inside, model.reference)
        fell = [a for a in seen.alerts if (a.rule, a.labels["model"]) == ("performance", model.name)]
        assert min(alert.started_at.timestamp() for alert in fell) >= START + FAULT * PANE
    assert schemas.checked >= {"predictions", "feedback", "models", "panes", "reports", "alerts", "retraining"}
    alerts = {alert.alert_id: alert.labels["model"] for alert in seen.alerts}
    assert {(signal.source, alerts[signal.alert_id or ""]) for signal in seen.signals} == {
        ("stream", "digits"), ("stream", "diabetes"),
    }  # fmt: skip
    assert len(seen.signals) == 2  # however many alerts fire, one in the time between two signals


async def send_all(settings: Settings, model: Model) -> None:
    beat = {"model": model.name, "model_version": "1", "timestamp": START + (PANES + 5) * PANE}
    await send(settings, records_of(model), close=False)
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all")
    await producer.start()
    try:
        for partition in range(settings.partitions):
            await producer.send_and_wait(
                PREDICTIONS.full_name(settings.prefix), msgspec.json.encode(beat), partition=partition,
                headers=[("driftline", b"heartbeat")],
            )  # fmt: skip
    finally:
        await producer.stop()


def value_of(report: PerformanceReport, name: str) -> float | None:
    return next(metric.value for metric in report.metrics if metric.name == name)


def multiclass(report: PerformanceReport, rows: pd.DataFrame, reference: pd.DataFrame) -> None:
    truth, guess = rows["target"], rows["prediction"]
    assert value_of(report, "accuracy") == sklearn.accuracy_score(truth, guess)
    for name, score in (
        ("f1", sklearn.f1_score),
        ("precision", sklearn.precision_score),
        ("recall", sklearn.recall_score),
    ):
        expected = score(truth, guess, average="macro", zero_division=0)
        assert value_of(report, f"macro_{name}") == pytest.approx(expected, abs=1e-12)
    assert np.array_equal(report.confusion, sklearn.confusion_matrix(truth, guess, labels=list(report.labels)))
    each = sklearn.precision_recall_fscore_support(truth, guess, labels=list(report.labels), zero_division=np.nan)
    for place, one in enumerate(report.classes):
        assert (one.label, one.actual) == (report.labels[place], each[3][place])
        told = [np.nan if value is None else value for value in (one.precision, one.recall, one.f1)]
        assert np.allclose(told, [part[place] for part in each[:3]], equal_nan=True)
    assert [metric.name for metric in report.estimated] == ["accuracy"]
    right = (reference["prediction"] == reference["target"]).to_numpy()
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(confidence(reference), right)
    assert report.estimated[0].value == pytest.approx(isotonic.predict(confidence(rows)).mean(), abs=1e-5)


def confidence(rows: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([p[label] for p, label in zip(rows["probability"], rows["prediction"], strict=True)])


def regression(report: PerformanceReport, rows: pd.DataFrame, _: pd.DataFrame) -> None:
    truth, guess = rows["target"], rows["prediction"]
    assert value_of(report, "mae") == pytest.approx(sklearn.mean_absolute_error(truth, guess), rel=1e-5)
    assert value_of(report, "rmse") == pytest.approx(sklearn.root_mean_squared_error(truth, guess), rel=1e-5)
    assert value_of(report, "r2") == pytest.approx(sklearn.r2_score(truth, guess), abs=1e-4)
    assert report.estimated == ()
    assert report.classes == ()


def both(*takers: Callable[[str, bytes], None]) -> Callable[[str, bytes], None]:
    def take(topic: str, value: bytes) -> None:
        for one in takers:
            one(topic, value)

    return take


class Schemas:
    """Holds every record that travels against the schema that docs/asyncapi.yaml has of its topic."""

    def __init__(self, prefix: str) -> None:
        document = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
        self._prefix = prefix
        self._validators = {
            name: jsonschema.Draft202012Validator({
                "anyOf": [{"$ref": f"#/components/schemas/{event}"} for event in channel["messages"]],
                "components": document["components"],
            })
            for name, channel in document["channels"].items()
        }  # fmt: skip
        self._left: dict[str, int] = {}
        self.checked: set[str] = set()

    def check(self, topic: str, value: bytes) -> None:
        """The first records of each topic; of more the checking would take longer than the stream."""
        name = topic.removeprefix(self._prefix)
        if value and self._left.setdefault(name, 20) > 0:
            self._left[name] -= 1
            self._validators[name].validate(json.loads(value))
            self.checked.add(name)
