"""Metrics: what is counted, that labels are bounded, that every metric is documented and named by the conventions."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from agents.agent import Agent
from agents.output import Output
from app.faust_batches.batch import Batch
from app.telemetry.bounds import BoundedGauge, BoundedLabel
from app.telemetry.findings import ReportGauges
from app.telemetry.lag import MOST_PARTITIONS
from app.telemetry.metrics import API, RECORDER, WORKER
from app.telemetry.stream import StreamMetrics, kind_of
from app.worker.instrumented import MeasuredAgent
from manual import metrics as page
from manual.__main__ import FOLDER, PAGES
from tests.support.reports import drift_report, feature, metric, performance_report
from topics.events import DeliveryEvent, PanePartial, Usual
from topics.registry import DELIVERIES, PANES, Topic

UNITS = {"counter": ("_total",), "histogram": ("_seconds",)}


def value(name: str, **labels: str) -> float | None:
    return WORKER.get_sample_value(name, labels)


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), "it is out of date: make reference"


def test_names_follow_the_conventions() -> None:
    found = [*page.told(WORKER), *page.told(RECORDER), *page.told(API)]
    assert len(found) == len({one.name for one in found}) > 20
    for one in found:
        assert re.fullmatch(r"driftline_[a-z_]+", one.name), one
        assert one.name.endswith(UNITS.get(one.kind, "")), one
        assert one.words.endswith("."), one


def test_every_metric_is_on_the_page() -> None:
    text = (Path(FOLDER) / "reference" / "metrics.md").read_text()
    assert [
        one.name for one in (*page.told(WORKER), *page.told(RECORDER), *page.told(API)) if f"`{one.name}`" not in text
    ] == []


def test_a_gauge_forgets_what_was_set_longest_ago() -> None:
    registry = CollectorRegistry()
    bounded = BoundedGauge(Gauge("g", "g", ["a"], registry=registry), 2)
    for label in ("x", "y", "x", "z"):
        bounded.set((label,), 1.0)
    bounded.set(("z",), None)
    bounded.set(("never",), None)
    assert [line for line in generate_latest(registry).decode().splitlines() if "#" not in line] == ['g{a="x"} 1.0']
    bounded.clear()
    assert b"{" not in generate_latest(registry)


def test_a_label_has_so_many_values_and_the_rest_is_other() -> None:
    bounded = BoundedLabel(2)
    assert [bounded.of(one) for one in "abcab"] == ["a", "b", "other", "a", "b"]


def test_reasons_are_told_without_names_and_values() -> None:
    assert kind_of("unknown `model_version`: churn 9 is not registered") == "unknown `model_version`"
    assert kind_of("model 'churn' version '9' is not registered") == "model … version … is not registered"
    stream = StreamMetrics()
    stream.dead_letters("predictions", [f"broken {i}" for i in range(100)])
    assert value("driftline_dead_letters_total", topic="predictions", reason="other") == 50.0


async def test_runs_are_counted_and_ticks_are_not() -> None:
    handled = []

    class Stub(Agent):
        name, inputs = "test", (PANES,)

        def position(self, topic: Topic, partition: int) -> int:
            return 0

        async def handle(self, batch: Batch, out: Output) -> None:
            handled.append(batch)

    measured, out = MeasuredAgent(Stub(), StreamMetrics()), cast("Output", None)
    before = value("driftline_records_read_total", topic="panes") or 0.0
    await measured.handle(Batch(PANES, 0, [SimpleNamespace(timestamp=0)] * 7), out)
    await measured.handle(Batch(PANES, 0, []), out)
    assert len(handled) == 2
    assert value("driftline_records_read_total", topic="panes") == before + 7
    assert value("driftline_run_seconds_count", agent="test") == 1.0


def test_a_pane_is_as_late_as_its_oldest_record() -> None:
    stream = StreamMetrics(wall=lambda: 1_000.0)
    pane = PanePartial(
        model="m", model_version="1", profile_id="p", kind="input", pane_start=0.0, partition=3, revision=1, n=1,
        indices=b"", counts=b"", sums=b"",
    )  # fmt: skip
    before = value("driftline_pane_latency_seconds_sum") or 0.0
    stream.joining(3, [SimpleNamespace(timestamp=993_000), SimpleNamespace(timestamp=999_000)])
    stream.joining(3, [SimpleNamespace(timestamp=999_500)])
    stream.panes([pane])
    stream.panes([pane])  # nothing new was read: a checkpoint that repeats itself is no observation
    assert value("driftline_pane_latency_seconds_sum") == before + 7.0


def test_the_newest_window_is_told_and_late_truth_about_older_ones_is_not() -> None:
    found = ReportGauges()
    newest = drift_report(features=(feature("age", 0.4),))
    found.take(newest)
    older = msgspec.structs.replace(newest, window_end=newest.window_end - timedelta(minutes=1), n=1)
    found.take(older)
    version = {"model": newest.model, "model_version": newest.model_version}
    age = newest.features[0]
    assert value("driftline_window_predictions", **version) == newest.n
    assert value("driftline_drift_statistic", feature="age", test=age.test, **version) == age.statistic
    assert value("driftline_drift_detected", **version) == newest.drift_detected
    since, later = newest.window_end, newest.window_end + timedelta(minutes=1)
    found.take(msgspec.structs.replace(newest, sufficient=False, window_end=later, not_judged_since=since))
    assert value("driftline_drift_share_ratio", **version) is None
    assert value("driftline_not_judged_since_timestamp_seconds", **version) == since.timestamp()
    usual = Usual(source="learning", days=3, needs=14)
    found.take(msgspec.structs.replace(newest, window_end=later + timedelta(minutes=1), usual=usual))
    assert value("driftline_not_judged_since_timestamp_seconds", **version) is None
    assert value("driftline_usual_learning", **version) == 1.0
    known = msgspec.structs.replace(usual, source="live")
    found.take(msgspec.structs.replace(newest, window_end=later + timedelta(minutes=2), usual=known))
    assert value("driftline_usual_learning", **version) == 0.0
    performance = performance_report(0, metric("accuracy"))
    found.take(performance)
    labels = {**version, "metric": "accuracy", "basis": "realised"}
    assert value("driftline_metric_value", **labels) == performance.metrics[0].value
    assert value("driftline_metric_baseline", **labels) == performance.metrics[0].baseline
    found.forget(lambda model, _: model != newest.model)
    assert value("driftline_window_predictions", **version) == newest.n
    assert value("driftline_metric_value", **labels) == performance.metrics[0].value
    found.forget()
    assert value("driftline_window_predictions", **version) is None


def test_what_a_window_leaves_out_is_counted_by_reason() -> None:
    found = ReportGauges()
    spoilt = drift_report(features=(feature("age", 0.02, missing=7, invalid=2, out_of_range=5),), left_out={"late": 4})
    version = {"model": spoilt.model, "model_version": spoilt.model_version}
    found.take(spoilt)
    for reason, n in (("missing", 7), ("invalid", 2), ("unseen", 0), ("out_of_range", 5)):
        assert value("driftline_window_values_left_out", feature="age", reason=reason, **version) == n
    assert value("driftline_left_out_records", reason="late", **version) == 4
    unjudged = metric("accuracy", judged=False, reason="no baseline")
    late = {"truth without a prediction": 6}
    found.take(
        performance_report(
            0, unjudged, not_judged={"missing prediction": 9}, unknown_actuals={"d": 3, "e": 1}, left_out=late
        )
    )
    assert value("driftline_window_rows_not_judged", reason="missing prediction", **version) == 9
    assert value("driftline_window_unknown_labels", of="actual", **version) == 4
    assert value("driftline_window_unknown_labels", of="prediction", **version) == 0
    assert value("driftline_metric_judged", metric="accuracy", basis="realised", **version) == 0
    assert value("driftline_left_out_records", reason="truth without a prediction", **version) == 6
    found.take(performance_report(1, metric("accuracy")))
    assert value("driftline_window_rows_not_judged", reason="missing prediction", **version) == 0
    assert value("driftline_metric_judged", metric="accuracy", basis="realised", **version) == 1
    assert value("driftline_left_out_records", reason="late", **version) == 4
    found.forget()
    assert value("driftline_left_out_records", reason="late", **version) is None


def test_lag_has_so_many_partitions_and_a_rest() -> None:
    StreamMetrics().lag({("predictions", i): 2 for i in range(MOST_PARTITIONS + 5)})
    assert value("driftline_lag_records", topic="predictions", partition="0") == 2.0
    assert value("driftline_lag_records", topic="predictions", partition="other") == 10.0
    assert value("driftline_partitions_held", topic="predictions") == MOST_PARTITIONS + 5
    StreamMetrics().lag({})
    assert value("driftline_lag_records", topic="predictions", partition="0") is None


def test_deliveries_are_counted_by_channel_and_outcome() -> None:
    event = DeliveryEvent(
        alert_id="a", fingerprint="f", channel="slack", outcome="failed", attempts=2, detail="",
        delivered_at=datetime.now(UTC),
    )  # fmt: skip
    StreamMetrics().told(DELIVERIES, msgspec.json.encode(event))
    assert value("driftline_deliveries_total", channel="slack", outcome="failed") == 1.0
