"""The time line of a model, and of each of its columns."""

from __future__ import annotations

from datetime import timedelta

from app.read_model.columns import column_view, columns_of_window
from app.read_model.report_store import ReportStore
from app.read_model.reports_table import ModelReports
from app.read_model.timeline import timeline_of
from tests.support.model_reports import START, a_drift_report, a_performance_report, an_alert
from tests.support.reports import feature
from topics.events import (
    DriftReport,
    FeatureDrift,
    MetricChange,
    Shape,
)


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
