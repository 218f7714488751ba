"""Context from the model's other report: performance for drift alerts, drift for performance alerts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from app.alerting.events.causes import causes_of, differs, shown
from app.alerting.events.deployments import DeploymentChange
from app.alerting.events.selection import top_features, top_metrics
from app.alerting.events.sentences import MAX_LISTED
from app.alerting.events.text import fact, line_of
from app.alerting.rules.model_rules import ESTIMATE, PERFORMANCE, PREDICTION_DRIFT, Verdict
from topics.events import (
    AnyReport,
    DriftReport,
    Fact,
    FeatureDrift,
    MetricChange,
    PerformanceReport,
    RelatedWindow,
    to_epoch,
)


class DriftSummary(Struct, frozen=True, kw_only=True):
    """Drift of a window: the number of drifted features, and the columns that a message names, the worst with its
    shape.

    `likely_causes`: over all columns, the worst first. `differs`: whether any feature differs from the reference.
    """

    window_start: datetime
    window_end: datetime
    features: int
    drifted: int
    columns: tuple[FeatureDrift, ...]
    likely_causes: tuple[Fact, ...] = ()
    differs: bool = True


class PerformanceSummary(Struct, frozen=True, kw_only=True):
    """Performance of a window, as far as a message shows it."""

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


def noted(
    known: RelatedWindows | None, report: DriftReport | PerformanceReport, changes: Sequence[DeploymentChange] = ()
) -> RelatedWindows:  # fmt: skip
    """Return the related windows after a report. A window older than the known one changes nothing.

    `changes`: changes of the model, for the likely causes.
    """
    if known is None or known.profile_id != report.profile_id:
        known = RelatedWindows(profile_id=report.profile_id)
    if isinstance(report, DriftReport):
        judged = report.sufficient or (report.scales is not None and bool(report.scales.found))
        return replace(known, drift=_drifted(report, changes)) if judged and _newer(report, known.drift) else known
    if _newer(report, known.newest):
        known = replace(known, newest=_performed(report))
    if report.sufficient and _newer(report, known.judged):
        known = replace(known, judged=_performed(report))
    return known


def _newer(report: DriftReport | PerformanceReport, known: DriftSummary | PerformanceSummary | None) -> bool:
    return known is None or report.window_end >= known.window_end


def _drifted(report: DriftReport, changes: Sequence[DeploymentChange]) -> DriftSummary:
    worst = [feature for feature in top_features(report) if feature.drifted][:MAX_LISTED]
    lean = [dataclasses.replace(one, unseen_names={}, shape=None if i else one.shape) for i, one in enumerate(worst)]
    return DriftSummary(
        window_start=report.window_start, window_end=report.window_end, features=len(report.features),
        drifted=len(report.drifted_features), columns=tuple(lean),
        likely_causes=causes_of(report, changes), differs=differs(report),
    )  # fmt: skip


def _performed(report: PerformanceReport) -> PerformanceSummary:
    return PerformanceSummary(
        window_start=report.window_start, window_end=report.window_end, n=report.n, feedback=report.feedback,
        coverage=report.coverage, metrics=tuple(top_metrics(report)[:MAX_LISTED]),
        estimated=tuple(metric for metric in report.estimated if metric.value is not None)[:MAX_LISTED],
    )  # fmt: skip


def likely_causes(
    report: AnyReport, verdict: Verdict, known: RelatedWindows | None, changes: Sequence[DeploymentChange] = ()
) -> tuple[Fact, ...]:  # fmt: skip
    """Return likely causes, also for an alert that is not about a feature: a unit, a new category, lost values.

    For an alert on one feature, that feature's own cause comes first. `changes`: changes of the model.
    """
    if isinstance(report, DriftReport):
        causes, differ = causes_of(report, changes), differs(report)
    elif isinstance(report, PerformanceReport) and known is not None and known.profile_id == report.profile_id:
        if known.drift is None:
            return ()
        causes, differ = known.drift.likely_causes, known.drift.differs
    else:
        return ()
    if not differ and verdict.rule in (PREDICTION_DRIFT, PERFORMANCE, ESTIMATE):
        return (fact("no_feature_differs"),)
    return shown(sorted(causes, key=lambda cause: cause.values["name"] != verdict.subject))


def related_to(report: AnyReport, known: RelatedWindows | None) -> RelatedWindow | None:
    """Return the context that an alert adds from the model version's other report; None where there is none."""
    if known is None or known.profile_id != report.profile_id:
        return None
    if isinstance(report, DriftReport):
        return _performance(report, known)
    if isinstance(report, PerformanceReport) and known.drift is not None:
        columns = known.drift.columns
        facts = (_drift(known.drift), *(fact("column", name=column.name) for column in columns))
        return RelatedWindow(facts=facts, columns=columns)
    return None


def _drift(drift: DriftSummary) -> Fact:
    return fact("features_differ", drifted=drift.drifted, features=drift.features, **_window(drift))


def _performance(report: DriftReport, known: RelatedWindows) -> RelatedWindow | None:
    judged, newest = known.judged, known.newest
    if judged is None and newest is None:
        return None
    facts = list[Fact]()
    metrics, estimated = () if judged is None else judged.metrics, tuple[MetricChange, ...]()
    if judged is not None:
        facts.append(fact("performance", **_window(judged), **_truth(judged)))
    elif newest is not None:
        facts.append(fact("performance_unknown", **_truth(newest)))
    if newest is not None and (judged is None or judged.window_end <= report.window_start):
        estimated = newest.estimated[:1]
    facts += [fact("estimated", name=metric.name) for metric in estimated]
    facts += [fact("metric", name=metric.name) for metric in metrics]
    return RelatedWindow(facts=tuple(facts), metrics=metrics, estimated=estimated)


def _window(found: DriftSummary | PerformanceSummary) -> dict[str, float]:
    return {"start": to_epoch(found.window_start), "end": to_epoch(found.window_end)}


def _truth(found: PerformanceSummary) -> dict[str, float]:
    return {"feedback": found.feedback, "n": found.n, "coverage": found.coverage}


def evidence_of_related(report: AnyReport, related: RelatedWindow | None) -> dict[str, object]:
    """Return the numbers of the related window, named as in alerts about them. `beside` has the sentences."""
    if related is None:
        return {}
    sentences = [line_of(one, related) for one in related.facts if one.kind not in ("column", "metric")]
    if isinstance(report, DriftReport):
        return {"beside": sentences, "metrics": related.metrics}
    return {"beside": sentences, "features": related.columns}
