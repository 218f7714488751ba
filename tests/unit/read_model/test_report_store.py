"""What the API keeps of the stream: bounded, the newest word on everything, in the shape that the page draws."""

from __future__ import annotations

import asyncio
import random
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.read_model.changes import Changes
from app.read_model.columns import column_view, columns_of_window
from app.read_model.report_store import MAX_PACKED_BYTES, MAX_WINDOWS, ReportStore
from app.read_model.reports_table import MAX_ALERTS, ModelReports, ReportsTable
from app.read_model.state import state_of
from app.read_model.summary import summary_of
from app.read_model.timeline import timeline_of
from app.read_model.workers import Workers
from app.settings.settings import load_settings
from tests.support.reports import feature
from topics.events import (
    AlertEvent,
    DriftReport,
    FeatureDrift,
    JudgedFrom,
    MetricChange,
    MonitorReport,
    PerformanceReport,
    Scales,
    Shape,
    Usual,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def a_drift_report(end: int, revision: int = 1, **changes: Any) -> DriftReport:
    values: dict[str, Any] = {
        "model": "m", "model_version": "1", "profile_id": "p", "window_start": START, "revision": revision, "n": 900,
        "window_end": START + timedelta(minutes=end), "sufficient": True, "emitted_at": START, "drift_detected": False,
        "drift_share": 0.1, "drift_threshold": 0.3, "drifted_features": (), "prediction_drift": False, "features": (),
        "prediction": None, "probability": None, "missing_share": 0.0, "unknown_features": {},
    }  # fmt: skip
    return DriftReport(**values | changes)


def a_performance_report(end: int, accuracy: float, **changes: Any) -> PerformanceReport:
    metric = MetricChange(
        name="accuracy", value=accuracy, baseline=0.9, absolute=0.0, relative=0.0, low=accuracy - 0.01,
        high=accuracy + 0.01, threshold=0.05, error_bound=0.0, degraded=False,
    )  # fmt: skip
    values: dict[str, Any] = {
        "model": "m", "model_version": "1", "profile_id": "p", "window_start": START, "revision": 1, "n": 900,
        "window_end": START + timedelta(minutes=end), "sufficient": True, "emitted_at": START, "feedback": 450,
        "coverage": 0.5, "degraded": False, "degraded_metrics": (), "metrics": (metric,), "estimated": (metric,),
        "confusion": (), "labels": (),
    }  # fmt: skip
    return PerformanceReport(**values | changes)


def an_alert(number: int, status: str = "firing", after: int = 0) -> AlertEvent:
    return AlertEvent(
        alert_id=f"{number}{status}", fingerprint=str(number), status=status, level="error", rule="data_drift",  # type: ignore[arg-type]
        title="t", message="m", labels={"model": "m", "model_version": "1"}, evidence={}, links={}, ended_at=None,
        started_at=START + timedelta(minutes=number), emitted_at=START + timedelta(minutes=number + after),
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=40))
def test_the_highest_revision_of_each_window_is_kept_in_any_order(reports: list[tuple[int, int]]) -> None:
    windows: ReportStore[DriftReport] = ReportStore()
    for end, revision in reports:
        windows.put(a_drift_report(end, revision))
    expected: dict[int, int] = {}
    for end, revision in reports:
        expected[end] = max(revision, expected.get(end, 0))
    assert [(window.report.window_end, window.report.revision) for window in windows.last()] == [
        (START + timedelta(minutes=end), revision) for end, revision in sorted(expected.items())
    ]


def test_a_new_profile_starts_its_revisions_anew() -> None:
    windows: ReportStore[DriftReport] = ReportStore()
    windows.put(a_drift_report(1, revision=9))
    assert windows.put(a_drift_report(1, revision=1, profile_id="q", emitted_at=START + timedelta(seconds=1)))
    assert not windows.put(a_drift_report(1, revision=10))
    assert windows.latest is not None
    assert windows.latest.profile_id == "q"


def test_views_are_bounded_and_keep_the_newest() -> None:
    windows: ReportStore[DriftReport] = ReportStore()
    for end in range(MAX_WINDOWS + 20):
        windows.put(a_drift_report(end))
    assert not windows.put(a_drift_report(3))
    assert len(windows.last()) == MAX_WINDOWS
    assert windows.last(1)[0].report.window_end == START + timedelta(minutes=MAX_WINDOWS + 19)
    found = ModelReports()
    for number in range(MAX_ALERTS + 20):
        found.alert(an_alert(number, "firing" if number == 0 else "resolved"))
    assert len(found.alerts) == MAX_ALERTS
    assert [alert.fingerprint for alert in found.firing] == ["0"]


def test_a_resolved_alert_replaces_its_firing_and_never_the_other_way_round() -> None:
    found = ModelReports()
    found.alert(an_alert(1, "resolved", after=5))
    found.alert(an_alert(1, "firing"))
    assert found.firing == []


def test_the_state_is_the_worst_that_is_known() -> None:
    found = ModelReports()
    assert state_of(found) == "waiting"
    found.drift.put(a_drift_report(1, sufficient=False, drift_detected=True))
    assert state_of(found) == "insufficient"
    found.drift.put(a_drift_report(2))
    assert state_of(found) == "healthy"
    found.drift.put(a_drift_report(3, drift_detected=True))
    assert state_of(found) == "drifting"
    found.performance.put(a_performance_report(3, 0.7, degraded=True))
    assert state_of(found) == "degraded"
    found.alert(an_alert(3))
    assert state_of(found) == "alerting"


def no_truth(end: int) -> PerformanceReport:
    return a_performance_report(
        end, 0.0, metrics=(), feedback=0, coverage=0.0, sufficient=False, judged=False, reason="no truth has come"
    )


def test_late_truth_is_told_of_the_newest_window_that_has_it() -> None:
    found = ModelReports()
    for end in range(1, 7):
        found.drift.put(a_drift_report(end))
        found.performance.put(no_truth(end))
    told = summary_of("m", "1", None, found)
    assert (told.state, told.value, told.truth_end, told.coverage) == ("healthy", None, None, 0.0)
    found.performance.put(a_performance_report(2, 0.7, revision=2, degraded=True, degraded_metrics=("accuracy",)))
    told = summary_of("m", "1", None, found)
    assert (told.state, told.value, told.coverage, told.degraded) == ("degraded", 0.7, 0.5, True)
    assert (told.truth_end, told.window_end) == (START + timedelta(minutes=2), START + timedelta(minutes=6))
    found.performance.put(a_performance_report(3, 0.9, revision=2))  # the next hour's truth comes: it is well again
    told = summary_of("m", "1", None, found)
    assert (told.state, told.value, told.truth_end) == ("healthy", 0.9, START + timedelta(minutes=3))
    line = timeline_of(found, 10)
    assert line.truth == [False, True, True, False, False, False]
    assert line.metric is not None
    assert line.metric.value == [None, 0.7, 0.9, None, None, None]


def test_a_correction_of_the_window_that_is_told_is_told() -> None:
    found = ModelReports()
    found.performance.put(a_performance_report(1, 0.7))
    assert found.realised is not None
    found.performance.put(a_performance_report(1, 0.8, revision=2))
    assert found.realised.metrics[0].value == 0.8
    found.performance.put(a_performance_report(1, 0.9, revision=1))
    assert found.realised.metrics[0].value == 0.8


def test_few_predictions_are_healthy_once_a_change_of_half_of_the_rows_would_be_found() -> None:
    found = ModelReports()
    few = {"n": 20, "sufficient": False, "needed": 480}
    blind = Scales(spans=(1, 2), chance=1e-5, detectable=0.7, needed=23)
    found.drift.put(a_drift_report(1, scales=blind, not_judged_since=START, **few))
    told = summary_of("m", "1", None, found)
    assert (told.state, told.not_judged_since) == ("insufficient", START)
    assert "23 more are needed, and 480 for all of drift.min_samples" in told.not_judged
    enough = msgspec.structs.replace(blind, detectable=0.5, needed=0)
    found.drift.put(a_drift_report(2, scales=enough, **few))
    told = summary_of("m", "1", None, found)
    assert (told.state, told.not_judged, told.not_judged_since) == ("healthy", "", None)
    assert told.thin.endswith("until then only a large change is found, a KS statistic from 0.50 on")


def test_what_is_usual_is_that_of_the_newest_window_and_of_each_column_what_is_found() -> None:
    found = ModelReports()
    report = a_drift_report(1, features=(feature("age"), feature("income")))
    judged = JudgedFrom(name=report.features[0].name, judged_from=3600.0, after=(None, 7200.0, 3600.0))
    usual = Usual(source="live", since=START, until=START, days=14, needs=14, columns=(judged,))
    found.drift.put(msgspec.structs.replace(report, usual=usual))
    told = summary_of("m", "1", None, found).usual
    assert told == msgspec.structs.replace(usual, columns=())
    assert msgspec.to_builtins(told)["from"] == "live"
    columns = columns_of_window(found.drift, msgspec.structs.replace(report, usual=usual))
    assert columns.usual == told
    assert [one.judged for one in columns.columns if one.role == "feature"][:2] == [judged, None]
    assert all(one.judged is None for one in columns_of_window(found.drift, report).columns)


def test_input_of_which_most_was_not_judged_is_never_healthy() -> None:
    found = ModelReports()
    found.drift.put(a_drift_report(1, unjudged_share=0.51))
    assert state_of(found) == "insufficient"
    assert "51% of the features' values" in summary_of("m", "1", None, found).not_judged
    found.drift.put(a_drift_report(2, unjudged_share=0.5))
    assert state_of(found) == "healthy"
    found.performance.put(a_performance_report(2, 0.9, not_judged={"missing prediction": 226}))
    assert state_of(found) == "insufficient"
    assert summary_of("m", "1", None, found).not_judged == "226 of 450 rows with truth enter no metric"


def test_what_is_left_out_and_not_judged_is_at_a_glance_and_on_the_time_line() -> None:
    found = ModelReports()
    found.drift.put(a_drift_report(1, left_out={"late": 3}))
    found.performance.put(
        a_performance_report(
            1,
            0.7,
            left_out={"truth without a prediction": 2},
            unknown_actuals={"d": 180},
            judged=False,
            reason="no baseline: the reference has no truth",
        )
    )
    told, line = summary_of("m", "1", None, found), timeline_of(found, 1)
    assert told.left_out == line.left_out == {"late": 3, "truth without a prediction": 2}
    assert [told.accounting] == line.accounting == [["40 % of the truth is `d`, which the reference does not have"]]
    assert line.metric is not None
    assert [told.reason] == line.metric.not_judged == ["no baseline: the reference has no truth"]


def test_a_timeline_has_drift_and_performance_of_a_window_side_by_side() -> None:
    found = ModelReports()
    for end in (1, 2):
        found.drift.put(a_drift_report(end, drift_share=end / 10))
    for end in (2, 3):
        found.performance.put(a_performance_report(end, 0.8 + end / 100))
    found.alert(an_alert(2))
    told = timeline_of(found, 10)
    assert [(end - START).seconds // 60 for end in told.ends] == [1, 2, 3]
    assert told.drift_share == [0.1, 0.2, None]
    assert told.coverage == [None, 0.5, 0.5]
    assert told.metric is not None
    assert told.metric.value == told.metric.estimated == [None, 0.8 + 2 / 100, 0.8 + 3 / 100]
    assert (told.metric.name, told.metric.baseline, told.drift_threshold) == ("accuracy", 0.9, 0.3)
    assert [mark.fingerprint for mark in told.marks] == ["2"]
    assert len(timeline_of(found, 2).ends) == 2


def test_a_timeline_has_the_metric_that_is_asked_for() -> None:
    found = ModelReports()
    recall = MetricChange(
        name="recall", value=0.5, baseline=0.6, absolute=None, relative=None, low=None, high=None, threshold=0.05,
        error_bound=0.0, degraded=True,
    )  # fmt: skip
    found.performance.put(a_performance_report(1, 0.8, metrics=(*a_performance_report(1, 0.8).metrics, recall)))
    told = timeline_of(found, 10, "recall")
    assert told.metrics == ["accuracy", "recall"]
    assert told.metric is not None
    assert (told.metric.value, told.metric.estimated, told.metric.degraded) == ([0.5], [None], [True])
    unknown = timeline_of(found, 10, "nonsense").metric
    assert unknown is not None
    assert unknown.name == "accuracy"


def columns(*statistics: float) -> tuple[FeatureDrift, ...]:
    shape = Shape(at=(1.0, 2.0), reference=(0.5, 1.0), current=(0.1, 1.0))
    return tuple(feature(f"f{i}", statistic, shape=shape) for i, statistic in enumerate(statistics))


def test_a_column_is_told_with_its_distributions_over_time_and_since_when_it_has_drifted() -> None:
    windows: ReportStore[DriftReport] = ReportStore()
    for end, statistic in enumerate([0.5, 0.02, 0.3, 0.4]):
        windows.put(a_drift_report(end, features=columns(statistic, 0.01), prediction=feature("f0", 0.05)))
    newest = windows.at(None)
    assert newest is not None
    told = column_view(windows, newest, ("feature", "f0"))
    assert told is not None
    assert told.over_time.statistic == [0.5, 0.02, 0.3, 0.4]
    assert told.over_time.drifted == [True, False, True, True]
    assert told.since == START + timedelta(minutes=2)
    assert told.found.shape is not None
    assert told.names == [("feature", "f0"), ("feature", "f1"), ("prediction", "f0")]
    prediction = column_view(windows, newest, ("prediction", "f0"))
    assert prediction is not None
    assert prediction.over_time.statistic == [0.05] * 4
    assert column_view(windows, newest, ("probability", "f0")) is None
    earlier = windows.at(START + timedelta(minutes=1))
    assert earlier is not None
    listed = columns_of_window(windows, earlier)
    assert [(column.role, column.found.name, column.recent) for column in listed.columns] == [
        ("feature", "f0", [0.5, 0.02]), ("feature", "f1", [0.01, 0.01]), ("prediction", "f0", [0.05, 0.05])
    ]  # fmt: skip
    assert all(column.found.shape is None for column in listed.columns)


def test_a_window_with_too_few_rows_neither_begins_nor_ends_a_drift() -> None:
    windows: ReportStore[DriftReport] = ReportStore()
    for end, (statistic, sufficient) in enumerate([(0.3, True), (0.01, False), (0.4, True)]):
        windows.put(a_drift_report(end, features=columns(statistic), sufficient=sufficient))
    newest = windows.at(None)
    assert newest is not None
    assert columns_of_window(windows, newest).columns[0].since == START


def test_whole_reports_are_let_go_when_they_are_too_much_and_the_newest_never() -> None:
    windows: ReportStore[DriftReport] = ReportStore()
    chance = random.Random(1)
    last = 60
    wide: tuple[FeatureDrift, ...] = ()
    for end in range(last + 1):
        wide = (feature("age", 0.5, reference=chance.randbytes(80_000).hex()),)
        windows.put(a_drift_report(end, features=wide))
    kept = list(windows.whole())
    assert 1 <= len(kept) <= last
    assert kept[-1].window_end == START + timedelta(minutes=last)
    assert kept[-1].features == wide
    assert sum(len(window.packed) for window in windows.last()) <= MAX_PACKED_BYTES
    assert windows.at(START) is None
    assert len(windows.last()) == last + 1


def test_a_glance_has_what_stands_for_the_whole() -> None:
    found = ModelReports()
    found.drift.put(a_drift_report(1, drift_share=0.5, drifted_features=("a", "b"), drift_detected=True))
    found.performance.put(a_performance_report(1, 0.7))
    found.alert(an_alert(1))
    told = summary_of("m", "1", None, found)
    assert (told.state, told.firing, told.level) == ("alerting", 1, "error")
    assert (told.drift_share, told.drifted, told.drifted_count, told.recent) == (0.5, ["a", "b"], 2, [0.5])
    assert (told.metric, told.value, told.baseline, told.estimated, told.coverage) == ("accuracy", 0.7, 0.9, 0.7, 0.5)


def a_monitor_report(second: int, worker: str = "w", **changes: Any) -> MonitorReport:
    end = START + timedelta(seconds=second)
    values: dict[str, Any] = {
        "model": "driftline", "model_version": "group", "profile_id": "", "revision": 1, "n": 150, "sufficient": True,
        "window_start": end - timedelta(seconds=15), "window_end": end, "emitted_at": end, "worker": worker,
        "lag": {"predictions": 5}, "behind_seconds": 0.5, "dead_letters": {},
    }  # fmt: skip
    return MonitorReport(**values | changes)


def test_workers_are_told_with_lag_and_dead_letters_by_reason() -> None:
    workers = Workers()
    workers.take(a_monitor_report(0, "gone", lag={"predictions": 1000}))
    workers.take(a_monitor_report(100, dead_letters={"not JSON": 3}))
    workers.take(a_monitor_report(115, dead_letters={"not JSON": 1, "late": 7}, lag={"predictions": 2, "feedback": 4}))
    told = workers.now(START + timedelta(seconds=120))
    assert [(worker.worker, worker.silent, worker.rate) for worker in told.workers] == [
        ("w", False, 10.0), ("gone", True, 10.0)
    ]  # fmt: skip
    assert told.lag == {"predictions": 2, "feedback": 4}
    assert [(letters.reason, letters.count) for letters in told.dead_letters] == [("late", 7), ("not JSON", 4)]
    assert told.dead_letters[1].first == START + timedelta(seconds=100)
    assert [lag.records for lag in told.over_time] == [1000, 5, 6]


def test_each_worker_of_a_host_is_told_and_one_that_was_started_again_is_not_told_twice() -> None:
    workers = Workers()
    for name in ("a:10", "a:11", "a:12", "b:10"):
        workers.take(a_monitor_report(0, name))
    for second, name in ((50, "a:11"), (60, "a:20"), (75, "a:20"), (75, "b:10")):
        workers.take(a_monitor_report(second, name))
    for _ in range(2):
        told = workers.now(START + timedelta(seconds=80)).workers
        assert [(one.worker, one.silent) for one in told] == [
            ("a:11", False), ("a:20", False), ("b:10", False), ("a:12", True)
        ]  # fmt: skip
    workers.take(a_monitor_report(600, "a:30"))
    workers.take(a_monitor_report(600, "c:1"))
    told = workers.now(START + timedelta(seconds=610)).workers
    assert [one.worker for one in told if not one.silent] == ["a:30", "c:1"]
    assert [one.worker for one in told if one.silent] == ["a:11", "a:20", "b:10"]
    assert workers.now(START + timedelta(days=2)).workers == []


def test_no_worker_is_counted_on_that_was_not_heard_for_a_while_whatever_its_clock_says() -> None:
    clock = [1000.0]
    workers = Workers(60.0, lambda: clock[0])
    assert workers.unheard == "no worker has been heard yet: start one (driftline worker)"
    workers.take(a_monitor_report(0))
    assert re.fullmatch(r"no worker has been heard for \d+ s \(worker_silent_seconds: 60\)", workers.unheard)
    workers.live = True
    workers.take(a_monitor_report(0, drains=True))
    assert workers.unheard
    workers.take(a_monitor_report(0))
    assert workers.unheard == ""
    clock[0] += 59.0
    assert workers.unheard == ""
    clock[0] += 1.0
    assert workers.unheard == "no worker has been heard for 60 s (worker_silent_seconds: 60)"


async def test_who_was_away_is_told_what_has_changed_since_and_nothing_else() -> None:
    changes = Changes()
    changes.note(("model", "a", "1"))
    seen = changes.id_of(changes.number)
    changes.note(("model", "b", "1"), ("alerts",))
    changes.note(("model", "b", "1"))
    number = changes.number_of(seen)
    assert number is not None
    assert changes.since(number) == {("model", "b", "1"), ("alerts",)}
    assert changes.since(changes.number) == set()
    waiting = asyncio.create_task(changes.after(changes.number))
    await asyncio.sleep(0)
    assert not waiting.done()
    changes.note(("monitor",))
    await asyncio.wait_for(waiting, 5)


def test_the_id_of_another_process_or_of_the_future_does_not_hold() -> None:
    changes, others = Changes(), Changes()
    others.note(("monitor",))
    for wrong in (None, "", "nonsense", others.id_of(1), changes.id_of(1), f"{changes.id_of(0)}x"):
        assert changes.number_of(wrong) is None
    assert changes.number_of(changes.id_of(0)) == 0


def test_what_was_found_of_a_version_is_kept_as_long_as_the_topics_have_it() -> None:
    now = [0.0]
    view = ReportsTable(load_settings(), Changes(), now=lambda: now[0])
    for days, version in ((0, "1"), (20, "2"), (29, "1"), (51, "3"), (60, "4")):
        now[0] = days * 86_400.0
        view.apply("reports", [msgspec.json.encode(a_drift_report(days, model_version=version))])
    assert [version for _, version in view.findings] == ["3", "4"]
