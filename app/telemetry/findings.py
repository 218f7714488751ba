"""The newest window of each model version as gauges."""

from __future__ import annotations

from datetime import datetime

from app.telemetry import metrics
from app.telemetry.bounds import BoundedGauge
from topics.events import AnyReport, DriftReport, PerformanceReport
from topics.events.reports import MetricChange

MOST_VERSIONS = 200
MOST_COLUMNS = 2000
"""Label sets of features and of metrics, over all model versions."""


class Findings:
    """Takes reports as they are issued. Of a window before the newest it takes nothing: late truth changes those."""

    def __init__(self) -> None:
        self._versions = {
            gauge: BoundedGauge(gauge, MOST_VERSIONS)
            for gauge in (
                metrics.WINDOW_PREDICTIONS, metrics.DRIFT_SHARE, metrics.DRIFT_DETECTED, metrics.COVERAGE,
            )
        }  # fmt: skip
        self._columns = {
            gauge: BoundedGauge(gauge, MOST_COLUMNS)
            for gauge in (metrics.DRIFT_STATISTIC, metrics.METRIC_VALUE, metrics.METRIC_BASELINE)
        }
        self._newest: dict[tuple[str, str, str], datetime] = {}

    def take(self, report: AnyReport) -> None:
        """Set the gauges to what a report says."""
        if not isinstance(report, DriftReport | PerformanceReport):
            return
        version = report.model, report.model_version
        key = (*version, str(report.__struct_config__.tag))
        if report.window_end < self._newest.get(key, report.window_end):
            return
        if key not in self._newest and len(self._newest) >= 2 * MOST_VERSIONS:
            del self._newest[next(iter(self._newest))]
        self._newest[key] = report.window_end
        if isinstance(report, DriftReport):
            self._drift(version, report)
        else:
            self._performance(version, report)

    def forget(self) -> None:
        """Other workers may have the model versions now, and tell of them."""
        self._newest.clear()
        for bounded in (*self._versions.values(), *self._columns.values()):
            bounded.clear()

    def _drift(self, version: tuple[str, str], report: DriftReport) -> None:
        judged = report.sufficient
        self._versions[metrics.WINDOW_PREDICTIONS].set(version, report.n)
        self._versions[metrics.DRIFT_SHARE].set(version, report.drift_share if judged else None)
        self._versions[metrics.DRIFT_DETECTED].set(version, float(report.drift_detected) if judged else None)
        for feature in report.features:
            labels = (*version, feature.name, feature.test)
            self._columns[metrics.DRIFT_STATISTIC].set(labels, feature.statistic if judged else None)

    def _performance(self, version: tuple[str, str], report: PerformanceReport) -> None:
        self._versions[metrics.COVERAGE].set(version, report.coverage)
        self._metrics(version, "realised", report.metrics)
        self._metrics(version, "estimated", report.estimated)

    def _metrics(self, version: tuple[str, str], basis: str, found: tuple[MetricChange, ...]) -> None:
        for metric in found:
            labels = (*version, metric.name, basis)
            self._columns[metrics.METRIC_VALUE].set(labels, metric.value)
            self._columns[metrics.METRIC_BASELINE].set(labels, metric.baseline)
