"""Rules on reports about a model: each rule returns its verdicts on one report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from app.alerting.rules import newest_panes
from app.alerting.rules.newest_panes import beside_window, breach_of, found_in, metric_of_newest
from app.alerting.rules.not_counted import of_intake
from app.alerting.rules.service_rules import FEEDBACK, MONITOR, TRAFFIC, of_monitor, of_traffic
from app.alerting.rules.verdict import Verdict, VerdictState, off
from app.core.config.monitoring import Alerting, Monitoring, PerformanceThresholds, Rule
from app.core.evaluation.too_few import is_judged
from topics.events import (
    AnyReport,
    DriftReport,
    FeatureDrift,
    IntakeReport,
    MetricChange,
    PerformanceReport,
    TrafficReport,
)

DATA_DRIFT = "data_drift"
PREDICTION_DRIFT = "prediction_drift"
PERFORMANCE = "performance"
DATA_QUALITY = "data_quality"
CRITICAL_FEATURE = "critical_feature"
FEATURE_DRIFT = "feature_drift"
NOT_JUDGED = "not_judged"
ESTIMATE = "performance_estimate"


def rule_of(verdict: Verdict, alerting: Alerting) -> Rule:
    """Return the settings of a verdict's rule. Owner and runbook default to those of the model."""
    found: Rule = getattr(alerting, verdict.rule)
    owner, runbook = found.owner or alerting.owner, found.runbook_url or alerting.runbook_url
    if (owner, runbook) == (found.owner, found.runbook_url):
        return found
    return replace(found, owner=owner, runbook_url=runbook)


def verdicts_of(report: AnyReport, monitoring: Monitoring) -> list[Verdict]:
    """Return every rule's verdicts on a report, in a fixed order; disabled rules return `off`."""
    if isinstance(report, DriftReport):
        found = _of_drift(report, monitoring.alerting)
    elif isinstance(report, PerformanceReport):
        found = _of_performance(report, monitoring.performance, monitoring.alerting)
    elif isinstance(report, TrafficReport):
        found = of_traffic(report, monitoring)
    elif isinstance(report, IntakeReport):
        found = of_intake(report, monitoring.alerting)
    else:
        found = of_monitor(report, monitoring.alerting)
    return [_in_force(verdict, report, monitoring.alerting) for verdict in found]


def _in_force(verdict: Verdict, report: AnyReport, alerting: Alerting) -> Verdict:
    if not rule_of(verdict, alerting).enabled:
        reason = f"the rule {verdict.rule} is switched off (driftline alerts rules says where)"
        return off(verdict.rule, verdict.subject, reason)
    if verdict.state == "off" or verdict.sure or report.sufficient or verdict.rule == NOT_JUDGED:
        return verdict
    return replace(verdict, state="insufficient", severe=False)


def _of_drift(report: DriftReport, alerting: Alerting) -> Iterator[Verdict]:
    yield _data_drift(report, alerting.data_drift)
    yield _prediction_drift(report, alerting.prediction_drift)
    yield from _data_quality(report, alerting)
    by_name = {feature.name: feature for feature in report.features}
    critical = dict.fromkeys(alerting.critical_features)
    for name in critical:
        verdict = _one_feature(CRITICAL_FEATURE, name, by_name.get(name), alerting.critical_feature)
        yield verdict if name not in by_name else beside_window(verdict, report, "distribution", [name])
    for name, feature in by_name.items():
        if name not in critical:
            yield _feature_drift(name, report, feature, alerting.feature_drift)
    yield from _not_judged(report, alerting)


def _not_judged(report: DriftReport, alerting: Alerting) -> Iterator[Verdict]:
    """Yield the verdict on how long no window has been judged, in seconds.

    No verdict where the report has no `not_judged_since`: one unjudged window alone means nothing.
    """
    if is_judged(report):
        yield Verdict(NOT_JUDGED, "predictions", "clear", 0.0, alerting.not_judged_after)
    elif report.not_judged_since is not None:
        seconds = (report.window_end - report.not_judged_since).total_seconds()
        state: VerdictState = "breach" if seconds >= alerting.not_judged_after else "between"
        evidence = {"not_judged_since": report.not_judged_since, "needed": report.needed, "expected": report.expected}
        yield Verdict(NOT_JUDGED, "predictions", state, seconds, alerting.not_judged_after, evidence)


def _feature_drift(name: str, report: DriftReport, feature: FeatureDrift, rule: Rule) -> Verdict:
    """Return the verdict on a feature that is not named as critical. Only the newest panes can make it a breach.

    Their rate of false alarms is stated for a month. A window calls some of the features drifted in 1 of 20 without any
    change. The window decides where no newest panes are judged.
    """
    verdict = _one_feature(FEATURE_DRIFT, name, feature, rule)
    if report.scales is None:
        return verdict
    if verdict.state == "breach":
        verdict = replace(verdict, state="between")
    return beside_window(verdict, report, "distribution", [name])


def _data_drift(report: DriftReport, rule: Rule) -> Verdict:
    state: VerdictState = "breach"
    if not report.drift_detected:
        state = "clear" if report.drift_share <= report.drift_threshold * rule.hysteresis else "between"
    evidence = {"drifted_features": list(report.drifted_features)}
    verdict = Verdict(DATA_DRIFT, "features", state, report.drift_share, report.drift_threshold, evidence)
    return newest_panes.data_drift(verdict, report)


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
    verdict = Verdict(PREDICTION_DRIFT, "prediction", state, worst.statistic, worst.threshold, evidence)
    return beside_window(verdict, report, "distribution", [column.name for column in known])


def _one_feature(name_of_rule: str, name: str, feature: FeatureDrift | None, rule: Rule) -> Verdict:
    if feature is None:
        return off(name_of_rule, name, "the profile has no such feature")
    if feature.statistic is None:
        return Verdict(name_of_rule, name, "insufficient", None, feature.threshold)
    state: VerdictState = "breach"
    if not feature.drifted:
        state = "clear" if _is_clear(feature, rule) else "between"
    return Verdict(name_of_rule, name, state, feature.statistic, feature.threshold)


def _is_clear(column: FeatureDrift, rule: Rule) -> bool:
    """Return whether a column is clear: not significant, or its effect is at most the threshold less the hysteresis."""
    size = _effect_size(column)
    return size is None or not column.significant or size <= column.threshold * rule.hysteresis


def _effect_size(column: FeatureDrift) -> float | None:
    """Return a column's effect size; its statistic in reports of older versions, which have no effect size."""
    return column.statistic if column.effect_size is None else column.effect_size


def effect_of(column: FeatureDrift) -> float:
    """Return a column's effect size in units of its threshold, so that numeric and categorical columns compare.

    Returns 0 where there is no effect size.
    """
    size = _effect_size(column)
    if size is None:
        return 0.0
    return size / column.threshold if column.threshold > 0 else size


def quality_columns(report: DriftReport) -> list[FeatureDrift]:
    """Return the columns whose values are judged: the features, and prediction and probability where any row has
    one.
    """
    outputs = (report.prediction, report.probability)
    return [*report.features, *(one for one in outputs if one is not None and one.missing < report.n)]


def _data_quality(report: DriftReport, alerting: Alerting) -> Iterator[Verdict]:
    """Yield a verdict for each problem: the columns that have it, and the share of rows that decides."""
    rows = max(report.n, 1)
    features = quality_columns(report)
    problems: tuple[tuple[str, dict[str, float], float], ...] = (
        ("missing", {f.name: f.missing / rows - f.reference_missing for f in features if f.missing_rises},
         alerting.missing_share),
        ("unseen", {f.name: f.unseen / rows - f.reference_unseen for f in features if f.unseen_rises},
         alerting.unseen_share),
        ("unknown", {name: count / rows for name, count in report.unknown_features.items()}, alerting.stray_share),
        ("type", {f.name: f.invalid / rows for f in features if f.invalid}, alerting.stray_share),
    )  # fmt: skip
    for problem, shares, threshold in problems:
        value = max(shares.values(), default=0.0)
        state: VerdictState = "breach" if value > threshold else "between"
        if value <= threshold * alerting.data_quality.hysteresis:
            state = "clear"
        columns = {name: share for name, share in shares.items() if share > threshold}
        verdict = Verdict(DATA_QUALITY, problem, state, value, threshold, {"problem": problem, "columns": columns})
        yield verdict if problem == "unknown" else _quality_of_newest(verdict, report, features, columns)


def _quality_of_newest(
    verdict: Verdict, report: DriftReport, features: list[FeatureDrift], columns: dict[str, float]
) -> Verdict:
    """Combine a verdict with the newest panes: a finding in any column, else the state of the columns above the
    threshold.
    """
    problem = verdict.subject
    found = found_in(report, problem, [feature.name for feature in features])
    if found:
        columns = columns | {one.name: one.effect_size for one in found}
        return breach_of(replace(verdict, evidence={**verdict.evidence, "columns": columns}), found)
    suspected = () if report.scales is None else report.scales.suspected.get(problem, ())
    return beside_window(verdict, report, problem, sorted({*columns, *suspected}))


def _of_performance(
    report: PerformanceReport, thresholds: PerformanceThresholds, alerting: Alerting
) -> Iterator[Verdict]:
    """Yield a verdict for each metric against its baseline, and against its estimate for the same window."""
    for metric in report.metrics:
        verdict = _metric(metric, thresholds, alerting.performance)
        yield metric_of_newest(verdict, report.scales, thresholds.degradation, alerting.performance)
    estimated = {metric.name: metric for metric in report.estimated}
    for metric in report.metrics:
        if metric.name in estimated:
            yield _estimate(metric, estimated[metric.name], thresholds, alerting.performance_estimate)


def _metric(metric: MetricChange, thresholds: PerformanceThresholds, rule: Rule) -> Verdict:
    drop = metric.relative
    if drop is None or not metric.judged:
        evidence = {"reason": metric.reason} if metric.reason else {}
        return Verdict(PERFORMANCE, metric.name, "insufficient", None, metric.threshold, evidence)
    state: VerdictState = "breach" if metric.degraded else "between"
    if not metric.degraded and drop <= _harmless(metric, thresholds) * rule.hysteresis:
        state = "clear"
    degradation = thresholds.degradation + metric.usual
    severe = metric.degraded and drop > degradation
    more: dict[str, object] = {"degradation": degradation} if severe else {}
    return Verdict(PERFORMANCE, metric.name, state, drop, metric.threshold, more, severe and rule.level != "critical")


def _harmless(metric: MetricChange, thresholds: PerformanceThresholds) -> float:
    """Return the drop up to which a metric counts as good as before: its own threshold without its usual variation.

    Otherwise an alert would resolve because the hours by which it is judged vary more than those before.
    """
    return thresholds.metrics.get(metric.name, thresholds.default) if metric.usual > 0.0 else metric.threshold


def _estimate(real: MetricChange, guess: MetricChange, thresholds: PerformanceThresholds, rule: Rule) -> Verdict:
    """Return the verdict on whether a metric is worse than estimated, by more than its threshold and both errors.

    For every estimated metric a higher value is better.
    """
    if real.value is None or real.high is None or not guess.value or guess.low is None:
        return Verdict(ESTIMATE, real.name, "insufficient", None, real.threshold)
    drop, beyond = (guess.value - real.value) / guess.value, real.high < guess.low
    state: VerdictState = "breach" if beyond and drop > real.threshold else "between"
    if drop <= _harmless(real, thresholds) * rule.hysteresis:
        state = "clear"
    return Verdict(ESTIMATE, real.name, state, drop, real.threshold, {"estimated_value": guess.value})


def worsening_of(metric: MetricChange) -> float:
    """Return a metric's relative drop in units of its threshold; -inf where the metric is not judged."""
    if metric.relative is None or not metric.judged:
        return float("-inf")
    return metric.relative / metric.threshold if metric.threshold > 0 else metric.relative


__all__ = [
    "CRITICAL_FEATURE", "DATA_DRIFT", "DATA_QUALITY", "ESTIMATE", "FEATURE_DRIFT", "FEEDBACK", "MONITOR", "NOT_JUDGED",
    "PERFORMANCE", "PREDICTION_DRIFT", "TRAFFIC", "Verdict", "VerdictState", "effect_of", "off", "quality_columns",
    "rule_of", "verdicts_of", "worsening_of",
]  # fmt: skip
