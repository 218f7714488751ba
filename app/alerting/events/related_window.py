"""What the other report said: a drift alert tells how the model performs, one of performance what has drifted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from app.alerting.events.causes import NO_FEATURE, cause_start, causes_of, differs, told
from app.alerting.events.text import MAX_LISTED, column_line, metric_line, span_of, top_features, top_metrics
from app.alerting.rules.model_rules import ESTIMATE, PERFORMANCE, PREDICTION_DRIFT, Verdict
from topics.events import AnyReport, DriftReport, FeatureDrift, MetricChange, PerformanceReport


class DriftSummary(Struct, frozen=True, kw_only=True):
    """A window's drift: how many of its features, and the columns that a message names, the worst with its shape.

    `causes`: lines of likely causes; `differs`: whether anything of any feature does.
    """

    window_start: datetime
    window_end: datetime
    features: int
    drifted: int
    columns: tuple[FeatureDrift, ...]
    causes: tuple[str, ...] = ()
    differs: bool = True


class PerformanceSummary(Struct, frozen=True, kw_only=True):
    """A window's performance, as far as a message tells of it."""

    window_start: datetime
    window_end: datetime
    n: int
    feedback: int
    coverage: float
    metrics: tuple[MetricChange, ...]
    estimated: tuple[MetricChange, ...]


class RelatedWindows(Struct, frozen=True, kw_only=True):
    """The newest windows of one profile. `judged`: the newest with enough truth; `newest`: the newest of all."""

    profile_id: str
    drift: DriftSummary | None = None
    judged: PerformanceSummary | None = None
    newest: PerformanceSummary | None = None


def noted(known: RelatedWindows | None, report: DriftReport | PerformanceReport) -> RelatedWindows:
    """What is known after a report; a window that is older than what is known changes nothing."""
    if known is None or known.profile_id != report.profile_id:
        known = RelatedWindows(profile_id=report.profile_id)
    if isinstance(report, DriftReport):
        judged = report.sufficient or (report.scales is not None and bool(report.scales.found))
        return replace(known, drift=_drifted(report)) if judged and _newer(report, known.drift) else known
    if _newer(report, known.newest):
        known = replace(known, newest=_performed(report))
    if report.sufficient and _newer(report, known.judged):
        known = replace(known, judged=_performed(report))
    return known


def _newer(report: DriftReport | PerformanceReport, known: DriftSummary | PerformanceSummary | None) -> bool:
    return known is None or report.window_end >= known.window_end


def _drifted(report: DriftReport) -> DriftSummary:
    worst = [feature for feature in top_features(report) if feature.drifted][:MAX_LISTED]
    lean = [dataclasses.replace(one, unseen_names={}, shape=None if i else one.shape) for i, one in enumerate(worst)]
    return DriftSummary(
        window_start=report.window_start, window_end=report.window_end, features=len(report.features),
        drifted=len(report.drifted_features), columns=tuple(lean),
        causes=causes_of(report), differs=differs(report),
    )  # fmt: skip


def _performed(report: PerformanceReport) -> PerformanceSummary:
    return PerformanceSummary(
        window_start=report.window_start, window_end=report.window_end, n=report.n, feedback=report.feedback,
        coverage=report.coverage, metrics=tuple(top_metrics(report)[:MAX_LISTED]),
        estimated=tuple(metric for metric in report.estimated if metric.value is not None)[:MAX_LISTED],
    )  # fmt: skip


def likely_causes(report: AnyReport, verdict: Verdict, known: RelatedWindows | None) -> list[str]:
    """What an alert says of likely causes, also where it is not about a feature: a unit, a new category, values lost.

    Of an alert on one feature that feature's own cause comes first.
    """
    if isinstance(report, DriftReport):
        causes, differ = causes_of(report), differs(report)
    elif isinstance(report, PerformanceReport) and known is not None and known.profile_id == report.profile_id:
        if known.drift is None:
            return []
        causes, differ = known.drift.causes, known.drift.differs
    else:
        return []
    if not differ and verdict.rule in (PREDICTION_DRIFT, PERFORMANCE, ESTIMATE):
        return [NO_FEATURE]
    own = [line for line in causes if line.startswith(cause_start(verdict.subject))]
    return told([*own, *(line for line in causes if line not in own)])


def related_lines(report: AnyReport, known: RelatedWindows | None) -> list[str]:
    """What an alert adds to what it is about, a fact a line: sentences, then columns or metrics."""
    sentences, columns, metrics = _told(report, known)
    return [*sentences, *map(column_line, columns), *map(metric_line, metrics)]


def evidence_beside(report: AnyReport, known: RelatedWindows | None) -> dict[str, object]:
    """The numbers behind these lines, named as in alerts that are about them; `beside` has the sentences."""
    sentences, columns, metrics = _told(report, known)
    if not sentences:
        return {}
    if isinstance(report, DriftReport):
        return {"beside": sentences, "metrics": metrics}
    return {"beside": sentences, "features": columns}


def _told(
    report: AnyReport, known: RelatedWindows | None
) -> tuple[list[str], tuple[FeatureDrift, ...], tuple[MetricChange, ...]]:
    """Sentences; the columns that an alert on performance tells of; the metrics that one on drift does."""
    if known is None or known.profile_id != report.profile_id:
        return [], (), ()
    if isinstance(report, DriftReport):
        return list(_of_performance(report, known)), (), () if known.judged is None else known.judged.metrics
    if isinstance(report, PerformanceReport) and known.drift is not None:
        return [_of_drift(known.drift)], known.drift.columns, ()
    return [], (), ()


def _of_drift(drift: DriftSummary) -> str:
    named = "None" if not drift.drifted else f"{drift.drifted:,}"
    differ = "differ" if drift.drifted > 1 else "differs"
    window = span_of(drift.window_start, drift.window_end)
    return f"{named} of its {drift.features:,} features {differ} from the reference in the window {window}."


def _of_performance(report: DriftReport, known: RelatedWindows) -> Iterator[str]:
    judged, newest = known.judged, known.newest
    if judged is not None:
        window = span_of(judged.window_start, judged.window_end)
        truth = f"the truth of {judged.feedback:,} of {judged.n:,} predictions is known ({judged.coverage:.0%})"
        yield f"How the model performs is as of the window {window}: {truth}."
    elif newest is not None:
        truth = f"the truth of {newest.feedback:,} of {newest.n:,} predictions has come ({newest.coverage:.0%})"
        yield f"How the model performs is not known yet: {truth}."
    if newest is not None and (judged is None or judged.window_end <= report.window_start):
        for metric in newest.estimated[:1]:
            yield f"Estimated without the truth: {metric_line(metric)}."
