"""Alerts in plain words: a title, and lines that say what, since when, how sure and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from app.alerting.lifecycle import Transition
from app.alerting.rules import (
    CRITICAL_FEATURE,
    DATA_DRIFT,
    DATA_QUALITY,
    PREDICTION_DRIFT,
    STRAY_SHARE,
    Verdict,
    effect_of,
    worsening_of,
)
from topics.events import AnyReport, DriftReport, FeatureDrift, MetricChange, PerformanceReport

TOLD = 5
"""Features and metrics that a message names; the evidence has the rest."""
SMALLEST_P = 1e-12


def title_of(report: AnyReport, verdict: Verdict, transition: Transition) -> str:
    """One line: which model, what."""
    about = f"{report.model} {report.model_version}"
    firing = transition.status == "firing"
    if verdict.state == "off":
        return f"{about}: {_watched(verdict)} is no longer watched"
    if isinstance(report, PerformanceReport):
        worse = f": {_some(report.degraded_metrics)}" if report.degraded_metrics else ""
        much = "much " if transition.severe else ""
        return f"{about} has got {much}worse{worse}" if firing else f"{about} performs as well as before again"
    if verdict.rule == DATA_DRIFT:
        drifted = f"{len(report.drifted_features)} of {len(report.features)} features"
        named = f" ({_some(report.drifted_features)})" if report.drifted_features else ""
        return f"{about}: data drift in {drifted}{named}" if firing else f"{about}: data drift is over"
    if verdict.rule == PREDICTION_DRIFT:
        return f"{about}: its predictions have drifted" if firing else f"{about}: prediction drift is over"
    if verdict.rule == DATA_QUALITY:
        return f"{about}: bad data, {_problems(verdict)}" if firing else f"{about}: data quality is good again"
    return f"{about}: {verdict.subject} {'has drifted' if firing else 'no longer drifts'}"


def message_of(report: AnyReport, verdict: Verdict, transition: Transition, links: dict[str, str]) -> str:
    """The whole of it, a fact a line."""
    lines = [_span(transition), _window(report)]
    if verdict.state == "off":
        lines.append(f"Closed, because {verdict.evidence.get('reason')}.")
    elif isinstance(report, PerformanceReport):
        lines += _performance(report, verdict)
    elif verdict.rule == DATA_DRIFT:
        lines += _data_drift(report)
    elif verdict.rule == PREDICTION_DRIFT:
        lines += [column_line(column) for column in (report.prediction, report.probability) if column is not None]
    elif verdict.rule == DATA_QUALITY:
        lines += _data_quality(report)
    elif verdict.rule.startswith(CRITICAL_FEATURE):
        lines += [column_line(feature) for feature in report.features if feature.name == verdict.subject]
    return "\n".join([*lines, *(f"{name}: {address}" for name, address in links.items())])


def utc(epoch: float) -> datetime:
    """The moment of seconds since the epoch."""
    return datetime.fromtimestamp(epoch, UTC)


def top_features(report: DriftReport) -> list[FeatureDrift]:
    """The features that drifted, largest effect first; all of them by effect where none has."""
    drifted = [feature for feature in report.features if feature.drifted]
    return sorted(drifted or report.features, key=lambda feature: (-effect_of(feature), feature.name))


def top_metrics(report: PerformanceReport) -> list[MetricChange]:
    """The metrics that are known, most degraded first."""
    known = [metric for metric in report.metrics if metric.value is not None]
    return sorted(known, key=lambda metric: (not metric.degraded, -worsening_of(metric), metric.name))


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
    return f"From {since} to {_moment(utc(transition.ended_at))}."


def _window(report: AnyReport) -> str:
    counted = f"{report.n:,} prediction{'' if report.n == 1 else 's'}"
    if isinstance(report, PerformanceReport):
        counted += f", the truth of {report.feedback:,} of them ({report.coverage:.0%})"
    return f"Seen in the window {_moment(report.window_start)} to {_moment(report.window_end)}: {counted}."


def _data_drift(report: DriftReport) -> Iterator[str]:
    share = f"{report.drift_share:.0%}, threshold {report.drift_threshold:.0%}"
    yield f"{len(report.drifted_features)} of {len(report.features)} features differ from the reference ({share})."
    found = top_features(report)
    for feature in found[:TOLD]:
        yield column_line(feature)
    if report.drifted_features and len(found) > TOLD:
        yield f"and {len(found) - TOLD} more"


def _performance(report: PerformanceReport, verdict: Verdict) -> Iterator[str]:
    for metric in top_metrics(report)[:TOLD]:
        yield metric_line(metric)
    critical, degradation = verdict.evidence.get("critical_metrics"), verdict.evidence.get("degradation")
    if isinstance(critical, list) and isinstance(degradation, float):
        yield f"Critical: {_some(critical)} {'is' if len(critical) == 1 else 'are'} more than {degradation:.1%} worse."


def metric_line(metric: MetricChange) -> str:
    """One metric: its value, how sure, and its change against the baseline."""
    if metric.value is None:
        return f"{metric.name}: not known"
    line = f"{metric.name} {metric.value:.4g}"
    if metric.low is not None and metric.high is not None:
        line += f" (95 % interval {metric.low:.4g} to {metric.high:.4g})"
    if metric.baseline is None or metric.relative is None:
        return line
    change = f"{abs(metric.relative):.1%} {'worse' if metric.relative > 0 else 'better'}"
    return f"{line}, baseline {metric.baseline:.4g}: {change} (threshold {metric.threshold:.1%})"


def _data_quality(report: DriftReport) -> Iterator[str]:
    rows = max(report.n, 1)
    missing = sorted(report.features, key=lambda f: (f.reference_missing - f.missing / rows, f.name))
    most = [
        f"{f.name} {f.missing / rows:.1%} of its values ({f.reference_missing:.1%} in the reference)"
        for f in missing[:TOLD]
        if f.missing_rises
    ]
    yield f"Missing: {', '.join(most) or 'nothing more than in the reference'}."
    for words, counts in (
        ("Unknown features", report.unknown_features),
        ("Values of the wrong type", {f.name: f.invalid for f in report.features if f.invalid}),
    ):
        top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOLD]
        if top:
            listed = ", ".join(f"{name} in {count:,} rows" for name, count in top)
            yield f"{words}: {listed} (up to {STRAY_SHARE:.0%} of rows are let pass)."


def _watched(verdict: Verdict) -> str:
    words = {DATA_DRIFT: "data drift", PREDICTION_DRIFT: "prediction drift", DATA_QUALITY: "data quality"}
    return words.get(verdict.rule, verdict.subject if verdict.rule.startswith(CRITICAL_FEATURE) else "performance")


def _problems(verdict: Verdict) -> str:
    words = {"missing": "missing values", "unknown": "unknown features", "invalid": "values of the wrong type"}
    problems = verdict.evidence.get("problems")
    return ", ".join(words[name] for name in problems) if isinstance(problems, list) and problems else "see below"


def _p_value(p_value: float | None) -> str:
    if p_value is None:
        return ""
    return f", p < {SMALLEST_P:g}" if p_value < SMALLEST_P else f", p = {p_value:.2g}"


def _some(names: Sequence[str]) -> str:
    told = ", ".join(names[:TOLD])
    return f"{told} and {len(names) - TOLD} more" if len(names) > TOLD else told


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC".replace(":00 UTC", " UTC")
