"""One transition as the event that tells of it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from app.alerting.beside import Beside, evidence_beside, lines_beside
from app.alerting.lifecycle import Transition, alert_id_of, fingerprint_of, labels_of
from app.alerting.links import DASHBOARD, links_of
from app.alerting.newest_panes import SCALES, features_of, metric_finding, outputs_of, scale_findings
from app.alerting.rules import ESTIMATE, PERFORMANCE, Verdict
from app.alerting.wording import TOLD, message_of, title_of, top_features, top_metrics, utc
from app.core.config import Rule
from topics.events import AlertEvent, AnyReport, DriftReport, PerformanceReport, TrafficReport

EVIDENCE_FEATURES = 50
"""Features that the evidence carries, with the shapes of those that the message names; a report has them all."""


def alert_of(
    report: AnyReport, verdict: Verdict, transition: Transition, rule: Rule, *, emitted_at: datetime, page: str = "",
    beside: Beside | None = None,
) -> AlertEvent:  # fmt: skip
    """The event of a transition. `page`: the API's address, for links; empty: none. `beside`: what else is known."""
    labels = labels_of(report.model, report.model_version, verdict)
    fingerprint = fingerprint_of(labels)
    firing = transition.status == "firing"
    links = links_of(report, verdict, page, firing=firing)
    if verdict.state == "off" or (verdict.rule in (PERFORMANCE, ESTIMATE) and not firing):
        beside = None
    more = [*lines_beside(report, beside), *(f"{DASHBOARD}: {links[name]}" for name in links if name == DASHBOARD)]
    return AlertEvent(
        alert_id=alert_id_of(fingerprint, transition),
        fingerprint=fingerprint,
        status=transition.status,
        level="critical" if transition.severe else rule.level,
        rule=verdict.rule,
        title=title_of(report, verdict, transition),
        message=message_of(report, verdict, transition, more),
        labels=labels,
        started_at=utc(transition.started_at),
        ended_at=None if transition.ended_at is None else utc(transition.ended_at),
        evidence=evidence_of(report, verdict, beside),
        links=links,
        emitted_at=emitted_at,
    )


def evidence_of(report: AnyReport, verdict: Verdict, beside: Beside | None = None) -> dict[str, object]:
    """The report's numbers behind a verdict, as JSON has them. Names of unseen categories stay in the report."""
    evidence: dict[str, object] = {
        "value": verdict.value,
        "threshold": verdict.threshold,
        "window_start": report.window_start,
        "window_end": report.window_end,
        "revision": report.revision,
        "profile_id": report.profile_id,
        "n": report.n,
        **verdict.evidence,
        **_of_newest_panes(verdict),
        **evidence_beside(report, beside),
    }
    if isinstance(report, DriftReport):
        evidence |= _drift_evidence(report, verdict)
    elif isinstance(report, PerformanceReport):
        evidence |= {
            "feedback": report.feedback,
            "coverage": report.coverage,
            "metrics": top_metrics(report),
            "estimated": report.estimated,
            "labels": report.labels,
            "confusion": report.confusion,
            "unknown_actuals": report.unknown_actuals,
            "unknown_predictions": report.unknown_predictions,
            "not_judged": report.not_judged,
            "left_out": report.left_out,
        }
    elif isinstance(report, TrafficReport):
        evidence["counts"] = report.counts
    built: dict[str, object] = msgspec.json.decode(msgspec.json.encode(evidence))
    return built


def _of_newest_panes(verdict: Verdict) -> dict[str, object]:
    """What the newest panes show; the columns are among the features."""
    metric = metric_finding(verdict)
    if metric is not None:
        return {SCALES: [metric]}
    found = scale_findings(verdict)
    return {SCALES: [msgspec.structs.replace(one, column=None) for one in found]} if found else {}


def _drift_evidence(report: DriftReport, verdict: Verdict) -> dict[str, object]:
    features = [feature for feature in features_of(report) if feature.name == verdict.subject]
    told = (features or top_features(report))[:EVIDENCE_FEATURES]
    told = told[:TOLD] + [msgspec.structs.replace(feature, shape=None) for feature in told[TOLD:]]
    return {
        "drift_share": report.drift_share,
        "features": [msgspec.structs.replace(feature, unseen_names={}) for feature in told],
        "prediction": [msgspec.structs.replace(c, unseen_names={}) for c in outputs_of(report)],
    }
