"""What is said of a model at a glance: its state, its newest truth, what was left out."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from app.read_model.columns import columns_of_window
from app.read_model.reports_table import ModelReports
from app.read_model.state import state_of
from app.read_model.summary import summary_of
from app.read_model.timeline import timeline_of
from tests.support.model_reports import START, a_drift_report, a_performance_report, an_alert
from tests.support.reports import feature
from topics.events import (
    JudgedFrom,
    PerformanceReport,
    Scales,
    Usual,
)


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


def test_a_glance_has_what_stands_for_the_whole() -> None:
    found = ModelReports()
    found.drift.put(a_drift_report(1, drift_share=0.5, drifted_features=("a", "b"), drift_detected=True))
    found.performance.put(a_performance_report(1, 0.7))
    found.alert(an_alert(1))
    told = summary_of("m", "1", None, found)
    assert (told.state, told.firing, told.level) == ("alerting", 1, "error")
    assert (told.drift_share, told.drifted, told.drifted_count, told.recent) == (0.5, ["a", "b"], 2, [0.5])
    assert (told.metric, told.value, told.baseline, told.estimated, told.coverage) == ("accuracy", 0.7, 0.9, 0.7, 0.5)
