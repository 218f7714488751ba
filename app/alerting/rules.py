"""What each rule says of one report: breached, clear, between the two, or not to be judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from app.core.config import Alerting, Monitoring, PerformanceThresholds, Rule
from topics.events import AnyReport, DriftReport, FeatureDrift, MetricChange, PerformanceReport

DATA_DRIFT = "data_drift"
PREDICTION_DRIFT = "prediction_drift"
PERFORMANCE = "performance"
DATA_QUALITY = "data_quality"
CRITICAL_FEATURE = "critical_feature"

STRAY_SHARE = 0.01
"""Unknown features and wrong types in no more than this share of a window's rows are strays, not a breach."""

VerdictState = Literal["breach", "clear", "between", "insufficient", "off"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule on one window. `subject` is what of the model it speaks of (`features`, a feature's name).

    `between` neither fires nor resolves, `insufficient` is not judged at all, `off` is not wanted: what fires is
    resolved. `value` and `threshold` are the ones that decided, None where there was nothing to compare. `severe`:
    a breach that makes the alert critical, whatever its rule's level.
    """

    rule: str
    subject: str
    state: VerdictState
    value: float | None = None
    threshold: float | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)
    severe: bool = False


def rule_of(verdict: Verdict, alerting: Alerting) -> Rule:
    """How a verdict's rule is set."""
    settings = {
        DATA_DRIFT: alerting.data_drift,
        PREDICTION_DRIFT: alerting.prediction_drift,
        PERFORMANCE: alerting.performance,
        DATA_QUALITY: alerting.data_quality,
        CRITICAL_FEATURE: alerting.critical_feature,
    }
    return settings[verdict.rule.partition(":")[0]]


def verdicts_of(report: AnyReport, monitoring: Monitoring) -> list[Verdict]:
    """Every rule's verdict on a report, in a fixed order; `off` of those that are disabled."""
    if isinstance(report, DriftReport):
        found = _of_drift(report, monitoring.alerting)
    else:
        found = _of_performance(report, monitoring.performance, monitoring.alerting.performance)
    return [_in_force(verdict, report, monitoring.alerting) for verdict in found]


def _in_force(verdict: Verdict, report: AnyReport, alerting: Alerting) -> Verdict:
    if not rule_of(verdict, alerting).enabled:
        setting = f"alerting.{verdict.rule.partition(':')[0]}.enabled"
        return off(verdict.rule, verdict.subject, f"{setting} is false")
    if verdict.state == "off" or report.sufficient:
        return verdict
    return replace(verdict, state="insufficient", severe=False)


def off(rule: str, subject: str, reason: str) -> Verdict:
    """The verdict of a rule that nobody asks for any more."""
    return Verdict(rule, subject, "off", evidence={"reason": reason})


def _of_drift(report: DriftReport, alerting: Alerting) -> Iterator[Verdict]:
    yield _data_drift(report, alerting.data_drift)
    yield _prediction_drift(report, alerting.prediction_drift)
    yield _data_quality(report, alerting)
    by_name = {feature.name: feature for feature in report.features}
    for name in dict.fromkeys(alerting.critical_features):
        yield _critical_feature(name, by_name.get(name), alerting.critical_feature)


def _data_drift(report: DriftReport, rule: Rule) -> Verdict:
    state: VerdictState = "breach"
    if not report.drift_detected:
        state = "clear" if report.drift_share <= report.drift_threshold * rule.hysteresis else "between"
    evidence = {"drifted_features": list(report.drifted_features)}
    return Verdict(DATA_DRIFT, "features", state, report.drift_share, report.drift_threshold, evidence)


def _prediction_drift(report: DriftReport, rule: Rule) -> Verdict:
    columns = [column for column in (report.prediction, report.probability) if column is not None]
    known = [column for column in columns if column.statistic is not None]
    if not known:
        return Verdict(PREDICTION_DRIFT, "prediction", "insufficient")
    worst = max(known, key=lambda column: (column.drifted, effect_of(column)))
    state: VerdictState = "breach"
    if not report.prediction_drift:
        state = "clear" if all(_is_clear(column, rule) for column in known) else "between"
    evidence = {"columns": [column.name for column in columns if column.drifted]}
    return Verdict(PREDICTION_DRIFT, "prediction", state, worst.statistic, worst.threshold, evidence)


def _critical_feature(name: str, feature: FeatureDrift | None, rule: Rule) -> Verdict:
    named = f"{CRITICAL_FEATURE}:{name}"
    if feature is None:
        return off(named, name, "the profile has no such feature")
    if feature.statistic is None:
        return Verdict(named, name, "insufficient", None, feature.threshold)
    state: VerdictState = "breach"
    if not feature.drifted:
        state = "clear" if _is_clear(feature, rule) else "between"
    return Verdict(named, name, state, feature.statistic, feature.threshold)


def _is_clear(column: FeatureDrift, rule: Rule) -> bool:
    """At or below the threshold less the hysteresis, or not significant.

    The second is for the Jensen-Shannon distance: its sampling bias alone can stand above the threshold where
    categories are many and rows few, and would hold an alert for ever.
    """
    if column.statistic is None or not column.significant:
        return True
    return column.statistic <= column.threshold * rule.hysteresis


def effect_of(column: FeatureDrift) -> float:
    """A column's statistic in units of its threshold, 0 where there is none: orders numeric and categorical."""
    if column.statistic is None:
        return 0.0
    return column.statistic / column.threshold if column.threshold > 0 else column.statistic


def _data_quality(report: DriftReport, alerting: Alerting) -> Verdict:
    rows = max(report.n, 1)
    invalid = {feature.name: feature.invalid for feature in report.features if feature.invalid}
    risen = {f.name: f.missing / rows - f.reference_missing for f in report.features if f.missing_rises}
    checks = [
        ("missing", max(risen.values(), default=0.0), alerting.missing_share),
        ("unknown", max(report.unknown_features.values(), default=0) / rows, STRAY_SHARE),
        ("invalid", max(invalid.values(), default=0) / rows, STRAY_SHARE),
    ]
    breached = [name for name, value, threshold in checks if value > threshold]
    hysteresis = alerting.data_quality.hysteresis
    state: VerdictState = "breach" if breached else "between"
    if not breached and all(value <= threshold * hysteresis for _, value, threshold in checks):
        state = "clear"
    _, value, threshold = max(checks, key=lambda check: check[1] / check[2] if check[2] > 0 else check[1])
    evidence = {
        "problems": breached,
        "missing_share": report.missing_share,
        "missing_risen": {name: rise for name, rise in risen.items() if rise > alerting.missing_share},
        "unknown_features": dict(report.unknown_features),
        "invalid": invalid,
    }
    return Verdict(DATA_QUALITY, "inputs", state, value, threshold, evidence)


def _of_performance(report: PerformanceReport, thresholds: PerformanceThresholds, rule: Rule) -> Iterator[Verdict]:
    known = [metric for metric in report.metrics if metric.relative is not None]
    severe = [m.name for m in known if m.degraded and (m.relative or 0.0) > thresholds.degradation]
    evidence: dict[str, object] = {"degraded_metrics": list(report.degraded_metrics)}
    if severe:
        evidence |= {"critical_metrics": severe, "degradation": thresholds.degradation}
    if not known:
        yield Verdict(PERFORMANCE, "metrics", "insufficient", evidence=evidence)
        return
    worst = max(known, key=lambda metric: (metric.degraded, worsening_of(metric)))
    state: VerdictState = "breach" if report.degraded or report.degraded_metrics else "between"
    if state == "between" and all((m.relative or 0.0) <= m.threshold * rule.hysteresis for m in known):
        state = "clear"
    raised = bool(severe) and rule.level != "critical"
    yield Verdict(PERFORMANCE, "metrics", state, worst.relative, worst.threshold, evidence, raised)


def worsening_of(metric: MetricChange) -> float:
    """A metric's relative drop in units of its threshold; -inf where it is not known."""
    if metric.relative is None:
        return float("-inf")
    return metric.relative / metric.threshold if metric.threshold > 0 else metric.relative
