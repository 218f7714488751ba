"""Alerts in plain words: a title, and lines that say what, since when, how sure and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from app.alerting.events.not_counted_text import intake_lines, intake_title
from app.alerting.events.scale_text import metric_scale_line, scale_lines
from app.alerting.events.service_text import SERVICE, lasting, monitor_lines, traffic_lines
from app.alerting.rules.lifecycle import Transition
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
    effect_of,
    quality_columns,
    worsening_of,
)
from app.alerting.rules.newest_panes import features_of, found_names, metric_finding, outputs_of, scale_findings
from app.core.evaluation.accounting import accounting_of
from app.core.evaluation.missing_values import CHANCE
from app.core.evaluation.too_few import MOST, is_judged, too_few
from topics.events import (
    AnyReport,
    DriftReport,
    FeatureDrift,
    IntakeReport,
    MetricChange,
    MonitorReport,
    PerformanceReport,
    TrafficReport,
    minute_of,
)

MAX_LISTED = 5
"""Features and metrics that a message names; the evidence has the rest."""
SMALLEST_P = 1e-12

PROBLEMS = {
    "missing": "missing values", "unseen": "unseen categories", "unknown": "unknown features",
    "type": "values of the wrong type",
}  # fmt: skip


def title_of(report: AnyReport, verdict: Verdict, transition: Transition) -> str:
    """One line: which model, what."""
    firing = transition.status == "firing"
    return f"{report.model} {report.model_version}: {what_of(report, verdict, firing=firing, severe=transition.severe)}"


def what_of(report: AnyReport, verdict: Verdict, *, firing: bool = True, severe: bool = False) -> str:
    """One line: what happens, or is over."""
    if verdict.state == "off":
        return f"{_watched(verdict)} is no longer watched"
    if isinstance(report, DriftReport):
        return _drift_title(report, verdict, firing=firing)
    if isinstance(report, TrafficReport):
        return SERVICE[verdict.rule, verdict.subject][not firing]
    if isinstance(report, MonitorReport | IntakeReport):
        return _own_title(report, verdict, firing=firing)
    if verdict.rule == ESTIMATE:
        return f"{verdict.subject} {'is worse than estimated' if firing else 'is as estimated again'}"
    worse = "has got much worse" if severe else "has got worse"
    return f"{verdict.subject} {worse if firing else 'is as good as before again'}"


def _own_title(report: MonitorReport | IntakeReport, verdict: Verdict, *, firing: bool) -> str:
    if isinstance(report, IntakeReport):
        return intake_title(report, verdict, firing=firing)
    return f"{verdict.subject} {'is too high' if firing else 'is as it should be again'}"


def _drift_title(report: DriftReport, verdict: Verdict, *, firing: bool) -> str:
    if verdict.rule == DATA_DRIFT:
        names = drifted_names(report, verdict)
        drifted = f"{len(names)} of {len(report.features)} features"
        named = f" ({_some(names)})" if names else ""
        return f"data drift in {drifted}{named}" if firing else "data drift is over"
    if verdict.rule == PREDICTION_DRIFT:
        return "its predictions have drifted" if firing else "prediction drift is over"
    if verdict.rule == DATA_QUALITY:
        columns = verdict.evidence.get("columns")
        named = f" in {_some(list(columns))}" if isinstance(columns, dict) and columns else ""
        words = PROBLEMS[verdict.subject]
        return f"bad data, {words}{named}" if firing else f"bad data is over, {words}"
    if verdict.rule == NOT_JUDGED:
        since = report.not_judged_since
        return f"not judged since {_moment(since)}" if firing and since else "its predictions are judged again"
    return f"{verdict.subject} {'has drifted' if firing else 'no longer drifts'}"


def message_of(
    report: AnyReport, verdict: Verdict, transition: Transition, more: Sequence[str] = (), first: Sequence[str] = ()
) -> str:
    """The whole of it, a fact a line: since when, what is to be known `first`, what is seen, and `more` at its end."""
    return "\n".join([_span(transition), *first, _window(report), *lines_of(report, verdict), *more])


def lines_of(report: AnyReport, verdict: Verdict) -> list[str]:
    """What is found, how sure that is and by how much, a fact a line."""
    if verdict.state == "off":
        return [f"Closed, because {verdict.evidence.get('reason')}."]
    if isinstance(report, DriftReport):
        return list(_of_drift(report, verdict))
    if isinstance(report, TrafficReport):
        return list(traffic_lines(report, verdict))
    if isinstance(report, IntakeReport):
        return list(intake_lines(report, verdict))
    return list(monitor_lines(report, verdict) if isinstance(report, MonitorReport) else _performance(report, verdict))


def _of_drift(report: DriftReport, verdict: Verdict) -> Iterator[str]:
    if verdict.rule == DATA_DRIFT:
        yield from _data_drift(report, verdict)
    elif verdict.rule == DATA_QUALITY:
        yield from _data_quality(report, verdict)
    elif verdict.rule == PREDICTION_DRIFT:
        yield from map(column_line, outputs_of(report))
    elif verdict.rule == NOT_JUDGED:
        yield from _not_judged(report)
    else:
        yield from (column_line(feature) for feature in features_of(report) if feature.name == verdict.subject)
    yield from scale_lines(scale_findings(verdict)[:MAX_LISTED])


def _not_judged(report: DriftReport) -> Iterator[str]:
    """Why nothing is judged, and what to do."""
    if is_judged(report):
        yield f"{report.n:,} predictions were judged."
        return
    if report.unjudged_share > MOST:
        yield f"{report.unjudged_share:.0%} of the features' values are of the wrong type, or unexpectedly missing."
        return
    newest = report.scales
    detectable, first = (None, 0) if newest is None else (newest.detectable, newest.needed)
    expected, sooner = minute_of(report.expected), minute_of(report.expected_first)
    words = too_few(report.n, report.needed, detectable, expected, first, sooner)
    yield f"{words}."
    yield "What would be found at a rate, and how soon: driftline plan --rate 80/h."


def drifted_names(report: DriftReport, verdict: Verdict) -> Sequence[str]:
    """The features that have drifted as a data drift alert counts them: in the window, or in its newest panes."""
    return found_names(verdict) or report.drifted_features


def utc(epoch: float) -> datetime:
    """The moment of seconds since the epoch."""
    return datetime.fromtimestamp(epoch, UTC)


def top_features(report: DriftReport) -> list[FeatureDrift]:
    """The features that drifted, largest effect first; all of them by effect where none has."""
    features = features_of(report)
    drifted = [feature for feature in features if feature.drifted]
    return sorted(drifted or features, key=lambda feature: (-effect_of(feature), feature.name))


def top_metrics(report: PerformanceReport) -> list[MetricChange]:
    """The metrics that are known: those that `performance.show` names in its order, then the most degraded first."""
    known = [metric for metric in report.metrics if metric.value is not None]
    show = {name: place for place, name in enumerate(report.show)}
    return sorted(
        known, key=lambda metric: (show.get(metric.name, len(show)), not metric.degraded, -worsening_of(metric))
    )


def span_of(start: datetime, end: datetime) -> str:
    """From when to when, in UTC."""
    return f"{_moment(start)} to {_moment(end)}"


def column_line(column: FeatureDrift) -> str:
    """One column: statistic, how sure, direction, reference -> current."""
    if column.statistic is None:
        return f"{column.name}: nothing to compare"
    parts = [f"{column.test} {column.statistic:.3g} (threshold {column.threshold:.3g}{_p_value(column.p_value)})"]
    if column.direction:
        parts.append(column.direction)
    if column.reference or column.current:
        parts.append(f"{column.reference} -> {column.current}")
    return f"{column.name}: {', '.join(parts)}"


def _span(transition: Transition) -> str:
    since = _moment(utc(transition.started_at))
    if transition.ended_at is None:
        return f"Since {since}."
    lasted = lasting(timedelta(seconds=transition.ended_at - transition.started_at))
    return f"From {since} to {_moment(utc(transition.ended_at))} ({lasted})."


def _window(report: AnyReport) -> str:
    if isinstance(report, MonitorReport | IntakeReport):
        return f"Seen from {span_of(report.window_start, report.window_end)}: {report.n:,} records read."
    counted = f"{report.n:,} prediction{'' if report.n == 1 else 's'}"
    return f"Seen in the window {span_of(report.window_start, report.window_end)}: {counted}."


def _data_drift(report: DriftReport, verdict: Verdict) -> Iterator[str]:
    names = drifted_names(report, verdict)
    share = report.drift_share if verdict.value is None else verdict.value
    judged = f"{share:.0%}, threshold {report.drift_threshold:.0%}"
    yield f"{len(names)} of {len(report.features)} features differ from the reference ({judged})."
    found = top_features(report)
    for feature in found[:MAX_LISTED]:
        yield column_line(feature)
    if names and len(found) > MAX_LISTED:
        yield f"and {len(found) - MAX_LISTED} more"


def _performance(report: PerformanceReport, verdict: Verdict) -> Iterator[str]:
    """The metric, what it is compared with, and how much of the truth is known."""
    metric = next(metric for metric in report.metrics if metric.name == verdict.subject)
    newest = metric_finding(verdict)
    yield metric_line(metric if newest is None else newest.metric)
    if newest is not None:
        yield metric_scale_line(newest)
    guess = next((metric for metric in report.estimated if metric.name == verdict.subject), None)
    if verdict.rule == ESTIMATE and guess is not None and guess.value is not None:
        yield f"Without the truth, {metric.name} of this window was estimated as {guess.value:.4g}{_interval(guess)}."
    degradation = verdict.evidence.get("degradation")
    if isinstance(degradation, float):
        yield f"Critical: {metric.name} is more than {degradation:.1%} worse than its baseline."
    yield f"The truth of {report.feedback:,} of {report.n:,} predictions is known ({report.coverage:.0%})."
    for line in accounting_of(report):
        yield f"{line[0].upper()}{line[1:]}."
    unjudged = [f"{metric.name} ({metric.reason})" for metric in report.metrics if not metric.judged]
    if unjudged:
        yield f"Not judged: {_some(unjudged)}."


def metric_line(metric: MetricChange) -> str:
    """One metric: its value, how sure, and its change against the baseline."""
    if metric.value is None:
        return f"{metric.name}: not known"
    line = f"{metric.name} {metric.value:.4g}{_interval(metric)}"
    if metric.baseline is None and metric.limit is not None and metric.judged:
        return f"{line}: {worse_by(metric)} than its limit {metric.limit:.4g}"
    if metric.baseline is None or not metric.judged:
        return f"{line}: not judged{f' ({metric.reason})' if metric.reason else ''}"
    return f"{line}, baseline {metric.baseline:.4g}: {worse_by(metric)} ({_limit(metric)})"


def _limit(metric: MetricChange) -> str:
    if metric.limit is not None:
        return f"limit {metric.limit:.4g}"
    usual = f", as {metric.usual:.1%} comes and goes by itself" if metric.usual > 0.0 else ""
    return f"threshold {metric.threshold:.1%}{usual}"


def worse_by(metric: MetricChange) -> str:
    """How far a metric is from its baseline, and which way; of a baseline at or below zero in what it is measured."""
    if metric.relative is None:
        return ""
    words = f"{abs(metric.relative):.1%} {'worse' if metric.relative > 0 else 'better'}"
    if metric.scale is None or metric.scale == metric.baseline or metric.absolute is None:
        return words
    return f"{words} ({abs(metric.absolute):.4g} of {metric.scale:.4g})"


def _interval(metric: MetricChange) -> str:
    known = metric.low is not None and metric.high is not None
    return f" (95 % interval {metric.low:.4g} to {metric.high:.4g})" if known else ""


def _data_quality(report: DriftReport, verdict: Verdict) -> Iterator[str]:
    rows, problem = max(report.n, 1), verdict.subject
    if problem == "unknown":
        counts = {name: (count, 0.0) for name, count in report.unknown_features.items()}
    else:
        counts = {f.name: _counted(f, problem) for f in quality_columns(report)}
    top = sorted(counts, key=lambda name: (counts[name][1] - counts[name][0] / rows, name))
    told = [name for name in top if counts[name][0]][:MAX_LISTED]
    listed = [
        f"{name} {counts[name][0] / rows:.1%} of its rows"
        + (f" ({counts[name][1]:.1%} expected from the reference)" if problem in ("missing", "unseen") else "")
        for name in told
    ]
    allowed = f" (up to {verdict.threshold:.1%} more are let pass)" if verdict.threshold is not None else ""
    words = PROBLEMS[problem]
    yield f"{words[0].upper()}{words[1:]}: {', '.join(listed) or 'none'}{allowed}."
    if verdict.state == "breach" and problem in ("missing", "unseen"):
        yield f"Chance brings that in less than one window of {1 / CHANCE:,.0f}."


def _counted(feature: FeatureDrift, problem: str) -> tuple[int, float]:
    """Rows with a problem, and the share that is expected to have it."""
    if problem == "missing":
        return feature.missing, feature.reference_missing
    return (feature.unseen, feature.reference_unseen) if problem == "unseen" else (feature.invalid, 0.0)


def _watched(verdict: Verdict) -> str:
    """What a rule that is switched off was about."""
    if verdict.rule in (CRITICAL_FEATURE, FEATURE_DRIFT, PERFORMANCE, ESTIMATE):
        return verdict.subject
    return verdict.rule.replace("_", " ")


def _p_value(p_value: float | None) -> str:
    if p_value is None:
        return ""
    return f", p < {SMALLEST_P:g}" if p_value < SMALLEST_P else f", p = {p_value:.2g}"


def _some(names: Sequence[str]) -> str:
    told = ", ".join(names[:MAX_LISTED])
    return f"{told} and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else told


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC".replace(":00 UTC", " UTC")
