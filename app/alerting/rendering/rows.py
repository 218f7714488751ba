"""Rows about columns and metrics of alerts, for any medium: each once, with clean text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.alerting.events.sentences import p_value_text, worse_by
from app.alerting.rendering.sanitize import clean
from app.alerting.rules.model_rules import ESTIMATE, PERFORMANCE, effect_of
from topics.events import AlertEvent, AlertSummary, FeatureDrift, MetricChange, Shape

TESTS = {"ks": "KS distance", "jensen-shannon": "JS distance"}
LONGEST_NAME = 80
LONGEST_LINE = 400


@dataclass(frozen=True, slots=True)
class DriftRow:
    """A feature or a prediction that has drifted: effect, certainty, direction, reference and current values."""

    name: str
    effect: str
    sure: str
    direction: str
    reference: str
    current: str
    categorical: bool
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric's change against its baseline."""

    name: str
    value: str
    interval: str
    baseline: str
    change: str
    degraded: bool


def drifted_columns(summaries: Sequence[AlertSummary]) -> tuple[list[FeatureDrift], set[str]]:
    """Return the worst columns, each once, largest effect first, and the names of all drifted columns."""
    found: dict[str, FeatureDrift] = {}
    for summary in summaries:
        for column in (*summary.columns, *(() if summary.related is None else summary.related.columns)):
            if column.drifted and (column.name not in found or found[column.name].shape is None):
                found[column.name] = column
    worst = sorted(found.values(), key=lambda column: (-effect_of(column), column.name))
    return worst, set(found).union(*(summary.drifted for summary in summaries))


def shown_metrics(alerts: Sequence[tuple[AlertEvent, AlertSummary]]) -> list[MetricChange]:
    """Return every known metric once: from the alert on it, else from another alert on performance.

    The order is that of the alerts: metrics to show first, then the most degraded.
    """
    found: dict[str, MetricChange] = {}
    for _, summary in sorted(alerts, key=lambda pair: pair[0].rule not in (PERFORMANCE, ESTIMATE)):
        for metric in (*summary.metrics, *(() if summary.related is None else summary.related.metrics)):
            if metric.value is not None and (metric.name not in found or metric.name == summary.subject):
                found[metric.name] = metric
    return list(found.values())


def column_row(column: FeatureDrift) -> DriftRow:
    """Return the row of a column."""
    effect = "nothing to compare"
    if column.statistic is not None:
        test = TESTS.get(column.test, clean(column.test, LONGEST_NAME))
        effect = f"{test} {column.statistic:.3g} (threshold {column.threshold:.3g})"
    return DriftRow(
        name=clean(column.name, LONGEST_NAME),
        effect=effect,
        sure="not tested" if column.p_value is None else p_value_text(column.p_value),
        direction=clean(column.direction, LONGEST_NAME),
        reference=clean(column.reference, LONGEST_LINE),
        current=clean(column.current, LONGEST_LINE),
        categorical=column.kind == "categorical",
        shape=column.shape,
    )


def metric_row(metric: MetricChange) -> MetricRow:
    """Return the row of a metric."""
    interval = "" if metric.low is None or metric.high is None else f"{metric.low:.4g} to {metric.high:.4g}"
    change = worse_by(metric) if metric.judged else f"not judged: {clean(metric.reason, LONGEST_NAME)}"
    return MetricRow(
        name=clean(metric.name, LONGEST_NAME),
        value="" if metric.value is None else f"{metric.value:.4g}",
        interval=interval,
        baseline="" if metric.baseline is None else f"{metric.baseline:.4g}",
        change=change,
        degraded=metric.degraded,
    )
