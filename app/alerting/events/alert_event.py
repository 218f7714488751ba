"""Construction of an alert event from a transition."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from app.alerting.events.deployments import DeploymentChange
from app.alerting.events.facts import summary_of
from app.alerting.events.links import DASHBOARD, RUNBOOK, links_of
from app.alerting.events.related_window import RelatedWindows, evidence_of_related, likely_causes, related_to
from app.alerting.events.selection import own_features, top_features, top_metrics
from app.alerting.events.sentences import MAX_LISTED
from app.alerting.events.text import fact, message_of, title_of
from app.alerting.rules.lifecycle import Transition, alert_id_of, fingerprint_of, labels_of
from app.alerting.rules.model_rules import DATA_DRIFT, ESTIMATE, PERFORMANCE, PREDICTION_DRIFT, Verdict
from app.alerting.rules.newest_panes import SCALES, metric_finding, outputs_of, scale_findings
from app.core.config.monitoring import Rule
from topics.events import (
    AlertEvent,
    AnyReport,
    DriftReport,
    Fact,
    FeatureDrift,
    IntakeReport,
    MonitorReport,
    PerformanceReport,
    RelatedWindow,
    Scales,
    TrafficReport,
    from_epoch,
    to_epoch,
)

EVIDENCE_FEATURES = 50
"""Number of features in the evidence, with the shapes of those that the message names. A report has all features."""


def alert_of(
    report: AnyReport, verdict: Verdict, transition: Transition, rule: Rule, *, emitted_at: datetime, page: str = "",
    beside: RelatedWindows | None = None, changes: Sequence[DeploymentChange] = (),
) -> AlertEvent:  # fmt: skip
    """Return the event of a transition. `page`: the API's address for links; empty for none.

    `beside`: the related windows of the model version. `changes`: recent changes of the model, for the likely causes.
    """
    labels = labels_of(report.model, report.model_version, verdict)
    fingerprint = fingerprint_of(labels)
    firing, off = transition.status == "firing", verdict.state == "off"
    links = links_of(report, verdict, page, firing=firing)
    if rule.runbook_url:
        links[RUNBOOK] = rule.runbook_url
    if off or (verdict.rule in (PERFORMANCE, ESTIMATE) and not firing):
        beside = None
    found = summary_of(report, verdict, firing=firing, severe=transition.severe)
    causes = likely_causes(report, verdict, beside, changes) if firing and not off else ()
    related = related_to(report, beside)
    summary = replace(
        found, facts=(_lasted(transition), *causes, _window(report), *found.facts), related=related,
        advice=tuple(_advice(labels, verdict, rule, links, firing=firing)),
    )  # fmt: skip
    return AlertEvent(
        alert_id=alert_id_of(fingerprint, transition),
        fingerprint=fingerprint,
        status=transition.status,
        level="critical" if transition.severe else rule.level,
        rule=verdict.rule,
        title=title_of(summary),
        message=message_of(summary),
        labels=labels,
        started_at=from_epoch(transition.started_at),
        ended_at=None if transition.ended_at is None else from_epoch(transition.ended_at),
        evidence=evidence_of(report, verdict, related),
        owner=rule.owner,
        links=links,
        emitted_at=emitted_at,
        summary=summary,
    )


def _lasted(transition: Transition) -> Fact:
    """Return the fact of when the alert began, or of its beginning and end."""
    start, end = transition.started_at, transition.ended_at
    return fact("since", start=start) if end is None else fact("ended", start=start, end=end, lasted=end - start)


def _window(report: AnyReport) -> Fact:
    kind = "records" if isinstance(report, MonitorReport | IntakeReport) else "window"
    return fact(kind, start=to_epoch(report.window_start), end=to_epoch(report.window_end), n=report.n)


def _advice(
    labels: Mapping[str, str], verdict: Verdict, rule: Rule, links: Mapping[str, str], *, firing: bool
) -> Iterator[Fact]:
    """Yield the alert's owner, the command that silences the alert, and the links for further reading."""
    if rule.owner:
        yield fact("owner", owner=rule.owner)
    if firing:
        yield fact("silence", command=silence_command(labels, verdict.rule))
    yield from (fact("link", name=name, address=links[name]) for name in (RUNBOOK, DASHBOARD) if name in links)


def silence_command(labels: Mapping[str, str], rule: str) -> str:
    """Return the command that silences only this alert, for two hours."""
    options = {"--model": labels["model"], "--version": labels["model_version"], "--rule": rule}
    if rule not in (DATA_DRIFT, PREDICTION_DRIFT):
        options["--subject"] = labels["subject"]
    words = [word for name, value in options.items() for word in (name, value)]
    return shlex.join(["driftline", "alerts", "silence", *words, "--for", "2h", "--comment", "looked at"])


UNKNOWN = ("unknown_actuals", "unknown_predictions")
NOT_NAMED = "not named"


def evidence_of(report: AnyReport, verdict: Verdict, related: RelatedWindow | None = None) -> dict[str, object]:
    """Return the report's numbers behind a verdict, as JSON values. Names of unseen categories stay in the report."""
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
        **evidence_of_related(report, related),
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
    """Return the findings of the newest panes, without their columns, which are among the features."""
    metric = metric_finding(verdict)
    if metric is not None:
        return {SCALES: [metric]}
    found = scale_findings(verdict)
    return {SCALES: [replace(one, column=None) for one in found]} if found else {}


def nameless(report: AnyReport) -> AnyReport:
    """Return a report without names of categories, which may be personal data. Their counts stay."""
    if isinstance(report, PerformanceReport):
        unknown = {
            name: {} if not (its := getattr(report, name)) else {NOT_NAMED: sum(its.values())} for name in UNKNOWN
        }
        return replace(report, **unknown)
    if not isinstance(report, DriftReport):
        return report
    return replace(
        report, features=tuple(map(_nameless, report.features)),
        prediction=None if report.prediction is None else _nameless(report.prediction),
        probability=None if report.probability is None else _nameless(report.probability),
        scales=_without_names(report.scales),
    )  # fmt: skip


def _nameless(column: FeatureDrift) -> FeatureDrift:
    unseen = {NOT_NAMED: sum(column.unseen_names.values())} if column.unseen_names else {}
    if column.kind != "categorical":
        return dataclasses.replace(column, unseen_names=unseen)
    cause = None if column.cause is None else dataclasses.replace(column.cause, words=column.cause.kind)
    return dataclasses.replace(
        column, shape=None, unseen_names=unseen, reference="", current="", direction="", cause=cause
    )


def _without_names(scales: Scales | None) -> Scales | None:
    if scales is None:
        return None
    found = [one if one.column is None else replace(one, column=_nameless(one.column)) for one in scales.found]
    return replace(scales, found=tuple(found))


def _drift_evidence(report: DriftReport, verdict: Verdict) -> dict[str, object]:
    told = (own_features(report, verdict) or top_features(report))[:EVIDENCE_FEATURES]
    told = told[:MAX_LISTED] + [dataclasses.replace(feature, shape=None) for feature in told[MAX_LISTED:]]
    return {
        "drift_share": report.drift_share,
        "features": [dataclasses.replace(feature, unseen_names={}) for feature in told],
        "prediction": [dataclasses.replace(c, unseen_names={}) for c in outputs_of(report)],
    }
