"""A model version's windows in a few numbers each."""

from __future__ import annotations

from datetime import datetime

import msgspec

from api.views import Findings
from topics.events import MetricChange, PerformanceReport

PREFERRED = ("accuracy", "r2", "rmse", "mae")
"""The metric that is drawn: the first of these that the reports have."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One window. `low` and `high` bound the realised `value`; `estimated` is what it would be without truth."""

    end: datetime
    n: int | None = None
    drift_share: float | None = None
    drift_detected: bool = False
    prediction_drift: bool = False
    sufficient: bool = False
    value: float | None = None
    low: float | None = None
    high: float | None = None
    estimated: float | None = None
    coverage: float | None = None
    degraded: bool = False


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One alert on the time line."""

    fingerprint: str
    rule: str
    level: str
    status: str
    title: str
    started_at: datetime
    ended_at: datetime | None


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Points oldest first; `metric` is the one drawn, `baseline` and `threshold` its lines."""

    metric: str | None
    baseline: float | None
    threshold: float | None
    drift_threshold: float | None
    points: list[Point]
    marks: list[Mark]


def timeline_of(found: Findings, limit: int) -> Timeline:
    """The last windows, drift and performance side by side by their end."""
    drift = {report.window_end: report for report in found.drift.last(limit)}
    performance = {report.window_end: report for report in found.performance.last(limit)}
    newest = found.performance.latest
    metric = None if newest is None else next((m for name in PREFERRED if (m := _metric(newest.metrics, name))), None)
    points = []
    for end in sorted({*drift, *performance})[-limit:]:
        inputs, outcome = drift.get(end), performance.get(end)
        point = _outcome_point(end, outcome, metric.name if metric else "")
        if inputs is not None:
            point = msgspec.structs.replace(
                point, n=inputs.n, drift_share=inputs.drift_share, drift_detected=inputs.drift_detected,
                prediction_drift=inputs.prediction_drift, sufficient=inputs.sufficient,
            )  # fmt: skip
        points.append(point)
    return Timeline(
        metric=None if metric is None else metric.name,
        baseline=None if metric is None else metric.baseline,
        threshold=None if metric is None else metric.threshold,
        drift_threshold=None if found.drift.latest is None else found.drift.latest.drift_threshold,
        points=points,
        marks=[
            Mark(fingerprint=a.fingerprint, rule=a.rule, level=a.level, status=a.status, title=a.title,
                 started_at=a.started_at, ended_at=a.ended_at)
            for a in sorted(found.alerts.values(), key=lambda alert: alert.started_at)
        ],
    )  # fmt: skip


def _outcome_point(end: datetime, report: PerformanceReport | None, name: str) -> Point:
    if report is None:
        return Point(end=end)
    realised, estimated = _metric(report.metrics, name), _metric(report.estimated, name)
    return Point(
        end=end,
        n=report.n,
        value=None if realised is None else realised.value,
        low=None if realised is None else realised.low,
        high=None if realised is None else realised.high,
        estimated=None if estimated is None else estimated.value,
        coverage=report.coverage,
        degraded=report.sufficient and (report.degraded or bool(report.degraded_metrics)),
    )


def _metric(metrics: tuple[MetricChange, ...], name: str) -> MetricChange | None:
    return next((metric for metric in metrics if metric.name == name), None)
