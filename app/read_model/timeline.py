"""Windows of a model version over time: a row of numbers for each drawn line."""

from __future__ import annotations

from datetime import datetime

import msgspec

from app.core.evaluation.accounting import accounting_of
from app.read_model.reports_table import ModelReports
from topics.events import MetricChange, PerformanceReport

PREFERRED = ("accuracy", "r2", "rmse", "mae")
"""Metrics that are drawn where none is requested: the first of these that the reports have, else the reports' first."""

Numbers = list[float | None]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One metric, with a number for each window.

    `low` and `high` bound `value`; `estimated` is the estimate without feedback. `not_judged`: why the metric was not
    compared with its baseline, empty where it was.
    """

    name: str
    baseline: float | None
    estimated_baseline: float | None
    threshold: float | None
    value: Numbers
    low: Numbers
    high: Numbers
    estimated: Numbers
    degraded: list[bool]
    not_judged: list[str] = msgspec.field(default_factory=list)


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One alert on the time line."""

    fingerprint: str
    rule: str
    subject: str
    level: str
    status: str
    title: str
    started_at: datetime
    ended_at: datetime | None


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Rows with one value for each of `ends`, oldest first; `metrics` are the names that can be requested.

    `whole_from`: the first window of which every column is still known; null: there is none. `truth`: whether enough
    feedback has come to judge. `accounting`: the rows that the metrics leave out, one fact each. `left_out`: records
    that no window counts, by reason.
    """

    ends: list[datetime]
    n: list[int | None]
    sufficient: list[bool]
    drift_share: Numbers
    drift_detected: list[bool]
    prediction_drift: list[bool]
    coverage: Numbers
    drift_threshold: float | None
    whole_from: datetime | None
    metrics: list[str]
    metric: Series | None
    marks: list[Mark]
    truth: list[bool] = msgspec.field(default_factory=list)
    accounting: list[list[str]] = msgspec.field(default_factory=list)
    left_out: dict[str, int] = msgspec.field(default_factory=dict)


def timeline_of(found: ModelReports, limit: int, metric: str | None = None) -> Timeline:
    """Return the last windows, drift and performance combined by window end."""
    windows = found.drift.last(limit)
    drift = {window.report.window_end: window.report for window in windows}
    performance = {window.report.window_end: window.report for window in found.performance.last(limit)}
    ends = sorted({*drift, *performance})[-limit:]
    inputs, outcomes = [drift.get(end) for end in ends], [performance.get(end) for end in ends]
    names = metrics_of(found)
    chosen = metric if metric in names else preferred(names)
    return Timeline(
        ends=ends,
        n=[(i or o).n if i or o else None for i, o in zip(inputs, outcomes, strict=True)],  # type: ignore[union-attr]
        sufficient=[bool(i and i.sufficient) for i in inputs],
        drift_share=[i.drift_share if i else None for i in inputs],
        drift_detected=[bool(i and i.drift_detected) for i in inputs],
        prediction_drift=[bool(i and i.prediction_drift) for i in inputs],
        coverage=[o.coverage if o else None for o in outcomes],
        drift_threshold=None if found.drift.latest is None else found.drift.latest.drift_threshold,
        whole_from=next((window.report.window_end for window in windows if window.packed), None),
        metrics=names,
        metric=None if chosen is None else _series(chosen, outcomes),
        marks=[
            Mark(
                fingerprint=a.fingerprint, rule=a.rule, subject=a.labels.get("subject", ""), level=a.level,
                status=a.status, title=a.title, started_at=a.started_at, ended_at=a.ended_at,
            )
            for a in sorted(found.alerts.values(), key=lambda alert: alert.started_at)
        ],
        truth=[bool(o and o.sufficient) for o in outcomes],
        accounting=[list(accounting_of(o)) if o else [] for o in outcomes],
        left_out=left_out_of(found),
    )  # fmt: skip


def left_out_of(found: ModelReports) -> dict[str, int]:
    """Return the number of a model version's records that no window counts, by reason, from the newest reports."""
    newest = (found.drift.latest, found.performance.latest)
    return {reason: n for report in newest if report is not None for reason, n in report.left_out.items()}


def metrics_of(found: ModelReports) -> list[str]:
    """Return the names of the newest report's metrics, realised or estimated."""
    newest = found.performance.latest
    return [] if newest is None else list(dict.fromkeys(m.name for m in (*newest.metrics, *newest.estimated)))


def preferred(names: list[str]) -> str | None:
    """Return the metric that represents the others; None without names."""
    return next((name for name in PREFERRED if name in names), names[0] if names else None)


def _series(name: str, reports: list[PerformanceReport | None]) -> Series:
    realised = [None if report is None else metric_of(report.metrics, name) for report in reports]
    estimated = [None if report is None else metric_of(report.estimated, name) for report in reports]
    newest = next((metric for metric in reversed(realised) if metric is not None), None)
    guessed = next((metric for metric in reversed(estimated) if metric is not None), None)
    enough = [bool(report and report.sufficient) for report in reports]
    return Series(
        name=name,
        baseline=newest.baseline if newest else None,
        estimated_baseline=guessed.baseline if guessed else None,
        threshold=newest.threshold if newest else None,
        value=[None if metric is None else metric.value for metric in realised],
        low=[None if metric is None else metric.low for metric in realised],
        high=[None if metric is None else metric.high for metric in realised],
        estimated=[None if metric is None else metric.value for metric in estimated],
        degraded=[bool(m and m.degraded and told) for m, told in zip(realised, enough, strict=True)],
        not_judged=[
            (report.reason or metric.reason) if report and metric else ""
            for report, metric in zip(reports, realised, strict=True)
        ],
    )


def metric_of(metrics: tuple[MetricChange, ...], name: str) -> MetricChange | None:
    """Return the metric of that name; None without one."""
    return next((metric for metric in metrics if metric.name == name), None)
