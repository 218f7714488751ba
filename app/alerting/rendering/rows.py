"""What alerts say of columns and metrics, as rows for any medium: out of their evidence, each once, clean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from app.alerting.events.text import SMALLEST_P, worse_by
from app.alerting.rendering.sanitize import clean
from app.alerting.rules.model_rules import ESTIMATE, PERFORMANCE, effect_of
from topics.events import AlertEvent, FeatureDrift, MetricChange, Shape

TESTS = {"ks": "KS distance", "jensen-shannon": "JS distance"}
LONGEST_NAME = 80
LONGEST_LINE = 400
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DriftRow:
    """A feature or a prediction that has drifted: how far, how sure, which way, from what to what."""

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


def drifted_of(alerts: Sequence[AlertEvent]) -> list[tuple[FeatureDrift, Shape | None]]:
    """Every column that has drifted, once, the largest effect first. Evidence that is none is left out."""
    found: dict[str, tuple[FeatureDrift, Shape | None]] = {}
    for alert in alerts:
        for name in ("features", "prediction"):
            for raw in _rows(alert.evidence.get(name)):
                column = _converted(raw, FeatureDrift)
                if column is None or not column.drifted or found.get(column.name, (None, None))[1] is not None:
                    continue
                found[column.name] = column, _converted(raw.get("shape"), Shape)
    return sorted(found.values(), key=lambda pair: (-effect_of(pair[0]), pair[0].name))


def metrics_of(alerts: Sequence[AlertEvent]) -> list[MetricChange]:
    """Every metric that is known, once, as alerts about performance have it, if any.

    In the order of their evidence: those that are shown first, then the most degraded.
    """
    found: dict[str, MetricChange] = {}
    for alert in sorted(alerts, key=lambda alert: alert.rule not in (PERFORMANCE, ESTIMATE)):
        for raw in _rows(alert.evidence.get("metrics")):
            metric = _converted(raw, MetricChange)
            if metric is not None and metric.value is not None:
                found.setdefault(metric.name, metric)
    return list(found.values())


def _rows(value: object) -> list[dict[str, object]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list | tuple) else []


def _converted(value: object, kind: type[T]) -> T | None:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def column_row(column: FeatureDrift, shape: Shape | None) -> DriftRow:
    """A column in words."""
    effect = "nothing to compare"
    if column.statistic is not None:
        test = TESTS.get(column.test, clean(column.test, LONGEST_NAME))
        effect = f"{test} {column.statistic:.3g} (threshold {column.threshold:.3g})"
    return DriftRow(
        name=clean(column.name, LONGEST_NAME),
        effect=effect,
        sure=_sure(column.p_value),
        direction=clean(column.direction, LONGEST_NAME),
        reference=clean(column.reference, LONGEST_LINE),
        current=clean(column.current, LONGEST_LINE),
        categorical=column.kind == "categorical",
        shape=shape,
    )


def _sure(p_value: float | None) -> str:
    if p_value is None:
        return "not tested"
    return f"p < {SMALLEST_P:g}" if p_value < SMALLEST_P else f"p = {p_value:.2g}"


def metric_row(metric: MetricChange) -> MetricRow:
    """A metric in words."""
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
