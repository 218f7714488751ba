"""Facts from a report and a verdict: the headline, the statements, and the columns and metrics that they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.alerting.events.intake_facts import intake_facts, intake_headline
from app.alerting.events.selection import columns_of, drifted_names, metrics_of
from app.alerting.events.sentences import MAX_LISTED
from app.alerting.events.service_facts import SERVICE, monitor_facts, traffic_facts
from app.alerting.events.templates import PROBLEMS
from app.alerting.events.text import fact
from app.alerting.rules.model_rules import (
    CRITICAL_FEATURE,
    DATA_DRIFT,
    DATA_QUALITY,
    ESTIMATE,
    FEATURE_DRIFT,
    NOT_JUDGED,
    PERFORMANCE,
    PREDICTION_DRIFT,
    Verdict,
    quality_columns,
)
from app.alerting.rules.newest_panes import metric_finding, scale_findings
from app.core.evaluation.accounting import accounting_of
from app.core.evaluation.missing_values import CHANCE
from app.core.evaluation.too_few import MOST, is_judged
from topics.events import (
    AlertSummary,
    AnyReport,
    DriftReport,
    Fact,
    FeatureDrift,
    IntakeReport,
    MetricFinding,
    MonitorReport,
    PerformanceReport,
    ScaleFinding,
    TrafficReport,
    to_epoch,
)

ONE_SUBJECT = (CRITICAL_FEATURE, FEATURE_DRIFT, PERFORMANCE, ESTIMATE)
"""Rules that judge each feature, or each metric, by itself."""
DRIFT_OVER = {
    DATA_DRIFT: "data_drift_over", PREDICTION_DRIFT: "prediction_drift_over", NOT_JUDGED: "judged_again",
}  # fmt: skip
"""Headlines of resolved alerts, by rule. Alerts on one feature have another headline."""


def summary_of(report: AnyReport, verdict: Verdict, *, firing: bool = True, severe: bool = False) -> AlertSummary:
    """Return the part of an alert's summary that depends only on the report and the verdict."""
    columns = columns_of(report, verdict)
    return AlertSummary(
        about=f"{report.model} {report.model_version}", subject=verdict.subject,
        headline=_headline(report, verdict, firing=firing, severe=severe),
        facts=tuple(_facts(report, verdict, columns.named)), columns=columns.shown(),
        drifted=columns.drifted, metrics=metrics_of(report, verdict),
    )  # fmt: skip


def _headline(report: AnyReport, verdict: Verdict, *, firing: bool, severe: bool) -> Fact:
    if verdict.state == "off":
        one = verdict.rule in ONE_SUBJECT
        return fact("unwatched") if one else fact("rule_unwatched", rule=verdict.rule.replace("_", " "))
    if isinstance(report, DriftReport):
        return _drift_headline(report, verdict) if firing else _drift_over(verdict)
    if isinstance(report, IntakeReport):
        return intake_headline(report, verdict, firing=firing)
    if isinstance(report, TrafficReport):
        kinds = SERVICE[verdict.rule, verdict.subject]
    elif isinstance(report, MonitorReport):
        kinds = "too_high", "as_it_should"
    elif verdict.rule == ESTIMATE:
        kinds = "below_estimate", "as_estimated"
    else:
        kinds = "much_worse" if severe else "worse", "as_before"
    return fact(kinds[not firing])


def _drift_headline(report: DriftReport, verdict: Verdict) -> Fact:
    if verdict.rule == DATA_DRIFT:
        names, of = tuple(drifted_names(report, verdict)), len(report.features)
        kind = "data_drift" if names else "data_drift_unnamed"
        return fact(kind, drifted=len(names), features=of, names=names)
    if verdict.rule == DATA_QUALITY:
        problem, columns = PROBLEMS[verdict.subject], verdict.evidence.get("columns")
        names = tuple(columns) if isinstance(columns, dict) else ()
        return fact("bad_data" if names else "bad_data_unnamed", problem=problem, columns=names)
    if verdict.rule == NOT_JUDGED and report.not_judged_since is not None:
        return fact("not_judged", since=to_epoch(report.not_judged_since))
    if verdict.rule == NOT_JUDGED:
        return fact("judged_again")
    return fact("prediction_drift" if verdict.rule == PREDICTION_DRIFT else "drifted")


def _drift_over(verdict: Verdict) -> Fact:
    if verdict.rule == DATA_QUALITY:
        return fact("bad_data_over", problem=PROBLEMS[verdict.subject])
    return fact(DRIFT_OVER.get(verdict.rule, "drift_over"))


def _facts(report: AnyReport, verdict: Verdict, named: Sequence[FeatureDrift]) -> Iterator[Fact]:
    """Yield the facts of a finding: what was found, how certain it is, and its size. `named`: the columns that lines
    name.
    """
    if verdict.state == "off":
        yield fact("closed", reason=str(verdict.evidence.get("reason")))
    elif isinstance(report, DriftReport):
        yield from _drift_facts(report, verdict, named)
    elif isinstance(report, PerformanceReport):
        yield from _performance_facts(report, verdict)
    elif isinstance(report, TrafficReport):
        yield from traffic_facts(report, verdict)
    elif isinstance(report, IntakeReport):
        yield from intake_facts(report, verdict)
    else:
        yield from monitor_facts(report, verdict)


def _drift_facts(report: DriftReport, verdict: Verdict, named: Sequence[FeatureDrift]) -> Iterator[Fact]:
    names = drifted_names(report, verdict) if verdict.rule == DATA_DRIFT else ()
    if verdict.rule == DATA_DRIFT:
        share = report.drift_share if verdict.value is None else verdict.value
        counts = {"drifted": len(names), "features": len(report.features)}
        yield fact("drift_share", **counts, share=share, threshold=report.drift_threshold)
    elif verdict.rule == DATA_QUALITY:
        yield from _quality_facts(report, verdict)
    elif verdict.rule == NOT_JUDGED:
        yield from _not_judged_facts(report)
    yield from (fact("column", name=column.name) for column in named[:MAX_LISTED])
    if names and len(named) > MAX_LISTED:
        yield fact("more_columns", count=len(named) - MAX_LISTED)
    for one in scale_findings(verdict)[:MAX_LISTED]:
        yield from _scale_facts(one)


def _scale_facts(one: ScaleFinding) -> Iterator[Fact]:
    """Yield where a change is visible in the newest panes, and since when."""
    start = None if one.start is None else to_epoch(one.start)
    yield fact(
        "found", name=one.name, fault=one.fault, effect_size=one.effect_size, n=one.n, panes=one.panes, start=start,
        **_change_point(one),
    )  # fmt: skip
    if one.slow and one.moved is not None:
        mean = one.column is None or one.column.kind == "numeric"
        yield fact("slow", name=one.name, moved=one.moved, mean=mean, rate=one.rate)


def _change_point(one: ScaleFinding | MetricFinding) -> dict[str, float | None]:
    """Return the change point and its bounds in epoch seconds; all None where they are unknown."""
    if one.since is None or one.earliest is None or one.latest is None:
        return {"since": None, "earliest": None, "latest": None}
    return {"since": to_epoch(one.since), "earliest": to_epoch(one.earliest), "latest": to_epoch(one.latest)}


def _not_judged_facts(report: DriftReport) -> Iterator[Fact]:
    """Yield the reason why no window is judged, and what to do."""
    if is_judged(report):
        yield fact("judged", n=report.n)
        return
    if report.unjudged_share > MOST:
        yield fact("unjudged_share", share=report.unjudged_share)
        return
    newest = report.scales
    expected, sooner = (
        None if at is None else to_epoch(at) // 60 * 60 for at in (report.expected, report.expected_first)
    )
    yield fact(
        "too_few", n=report.n, needed=report.needed, detectable=None if newest is None else newest.detectable,
        needed_first=0 if newest is None else newest.needed, expected=expected, expected_first=sooner,
    )  # fmt: skip
    yield fact("plan")


def _quality_facts(report: DriftReport, verdict: Verdict) -> Iterator[Fact]:
    rows, problem = max(report.n, 1), verdict.subject
    if problem == "unknown":
        counts = {name: (count, 0.0) for name, count in report.unknown_features.items()}
    else:
        counts = {column.name: _counted(column, problem) for column in quality_columns(report)}
    top = sorted(counts, key=lambda name: (counts[name][1] - counts[name][0] / rows, name))
    names = [name for name in top if counts[name][0]][:MAX_LISTED]
    by_chance = problem in ("missing", "unseen")
    yield fact(
        "quality", problem=PROBLEMS[problem], names=tuple(names), threshold=verdict.threshold,
        shares=tuple(counts[name][0] / rows for name in names),
        expected=tuple(counts[name][1] for name in names) if by_chance else None,
    )  # fmt: skip
    if verdict.state == "breach" and by_chance:
        yield fact("chance_of_window", windows=1 / CHANCE)


def _counted(column: FeatureDrift, problem: str) -> tuple[int, float]:
    """Return the number of rows with a problem, and the share of rows that is expected to have it."""
    if problem == "missing":
        return column.missing, column.reference_missing
    return (column.unseen, column.reference_unseen) if problem == "unseen" else (column.invalid, 0.0)


def _performance_facts(report: PerformanceReport, verdict: Verdict) -> Iterator[Fact]:
    """Yield the metric, its comparison, and how much of the truth is known."""
    name, newest = verdict.subject, metric_finding(verdict)
    yield fact("metric", name=name)
    if newest is not None:
        end = None if newest.end is None else to_epoch(newest.end)
        yield fact("metric_found", name=name, n=newest.n, panes=newest.panes, end=end, **_change_point(newest))
    guess = next((metric for metric in report.estimated if metric.name == name), None)
    if verdict.rule == ESTIMATE and guess is not None and guess.value is not None:
        yield fact("estimated_as", name=name, value=guess.value, low=guess.low, high=guess.high)
    degradation = verdict.evidence.get("degradation")
    if isinstance(degradation, float):
        yield fact("critical", name=name, degradation=degradation)
    yield fact("truth", feedback=report.feedback, n=report.n, coverage=report.coverage)
    yield from (fact("left_out", words=words) for words in accounting_of(report))
    unjudged = tuple(f"{metric.name} ({metric.reason})" for metric in report.metrics if not metric.judged)
    if unjudged:
        yield fact("unjudged_metrics", metrics=unjudged)
