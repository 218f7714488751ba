"""Gauges of the newest window of each model version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from prometheus_client import Gauge

from app.telemetry import metrics
from app.telemetry.bounds import BoundedGauge
from topics.events import AnyReport, DriftReport, PerformanceReport
from topics.results import MetricChange

MOST_VERSIONS = 200
MOST_COLUMNS = 2000
"""Label sets of features and of metrics, over all model versions."""
MOST_REASONS = 20
COUNTS = ("missing", "invalid", "unseen", "out_of_range")
"""Reasons for which values of a feature are left out."""


class ReportGauges:
    """Gauges of reports as they are issued. Reports on earlier windows, which late truth changes, are ignored."""

    def __init__(self) -> None:
        self._versions = {
            gauge: BoundedGauge(gauge, MOST_VERSIONS)
            for gauge in (
                metrics.WINDOW_PREDICTIONS, metrics.NOT_JUDGED_SINCE, metrics.DRIFT_SHARE, metrics.DRIFT_DETECTED,
                metrics.COVERAGE, metrics.USUAL_LEARNING,
            )
        }  # fmt: skip
        self._columns = {
            gauge: BoundedGauge(gauge, MOST_COLUMNS)
            for gauge in (
                metrics.DRIFT_STATISTIC, metrics.METRIC_VALUE, metrics.METRIC_BASELINE, metrics.METRIC_JUDGED,
                metrics.ROWS_NOT_JUDGED, metrics.UNKNOWN_LABELS, metrics.LEFT_OUT,
            )
        }  # fmt: skip
        self._columns[metrics.VALUES_LEFT_OUT] = BoundedGauge(metrics.VALUES_LEFT_OUT, len(COUNTS) * MOST_COLUMNS)
        self._reasons: dict[tuple[Gauge, tuple[str, str], str], set[str]] = {}
        self._newest: dict[tuple[str, str, str], datetime] = {}

    def take(self, report: AnyReport) -> None:
        """Set the gauges to the content of a report."""
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

    def forget(self, is_gone: Callable[[str, str], bool] = lambda model, version: True) -> None:
        """Forget model versions (default: all) that other workers may have now, and report on."""
        self._newest = {key: end for key, end in self._newest.items() if not is_gone(*key[:2])}
        self._reasons = {key: known for key, known in self._reasons.items() if not is_gone(*key[1])}
        for bounded in (*self._versions.values(), *self._columns.values()):
            bounded.drop(lambda labels: is_gone(*labels[:2]))

    def _drift(self, version: tuple[str, str], report: DriftReport) -> None:
        judged = report.sufficient
        self._versions[metrics.WINDOW_PREDICTIONS].set(version, report.n)
        since = report.not_judged_since
        self._versions[metrics.NOT_JUDGED_SINCE].set(version, None if since is None else since.timestamp())
        usual = report.usual
        self._versions[metrics.USUAL_LEARNING].set(
            version, None if usual is None else float(usual.source == "learning")
        )
        self._versions[metrics.DRIFT_SHARE].set(version, report.drift_share if judged else None)
        newly = report.scales is not None and report.scales.drifted
        detected = float(report.drift_detected or newly) if judged or newly else None
        self._versions[metrics.DRIFT_DETECTED].set(version, detected)
        for feature in report.features:
            labels = (*version, feature.name, feature.test)
            self._columns[metrics.DRIFT_STATISTIC].set(labels, feature.statistic if judged else None)
            for reason in COUNTS:
                self._columns[metrics.VALUES_LEFT_OUT].set((*version, feature.name, reason), getattr(feature, reason))
        self._by_reason(metrics.LEFT_OUT, version, "drift", report.left_out)

    def _performance(self, version: tuple[str, str], report: PerformanceReport) -> None:
        self._versions[metrics.COVERAGE].set(version, report.coverage)
        self._by_reason(metrics.LEFT_OUT, version, "performance", report.left_out)
        self._by_reason(metrics.ROWS_NOT_JUDGED, version, "performance", report.not_judged)
        for side, labels in (("actual", report.unknown_actuals), ("prediction", report.unknown_predictions)):
            self._columns[metrics.UNKNOWN_LABELS].set((*version, side), sum(labels.values()))
        self._metrics(version, "realised", report.metrics)
        self._metrics(version, "estimated", report.estimated)

    def _metrics(self, version: tuple[str, str], basis: str, found: tuple[MetricChange, ...]) -> None:
        for metric in found:
            labels = (*version, metric.name, basis)
            self._columns[metrics.METRIC_VALUE].set(labels, metric.value)
            self._columns[metrics.METRIC_BASELINE].set(labels, metric.baseline)
            self._columns[metrics.METRIC_JUDGED].set(labels, float(metric.judged))

    def _by_reason(self, gauge: Gauge, version: tuple[str, str], kind: str, counts: Mapping[str, int]) -> None:
        """Set the counts of a report. A reason that the report no longer has is set to 0."""
        known = self._reasons.setdefault((gauge, version, kind), set())
        known.update(list(counts)[:MOST_REASONS])
        for reason in known:
            self._columns[gauge].set((*version, reason), counts.get(reason, 0))
