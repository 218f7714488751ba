"""Evaluation of a decision by the stream's rules: what would fire, and what no rule can judge."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from app.alerting.events.facts import summary_of
from app.alerting.events.text import headline_of, lines_of
from app.alerting.rules.model_rules import (
    CRITICAL_FEATURE,
    DATA_QUALITY,
    FEATURE_DRIFT,
    PREDICTION_DRIFT,
    Verdict,
    rule_of,
    verdicts_of,
)
from app.core.config.monitoring import Monitoring
from app.core.evaluation.results import DriftDecision, PerformanceDecision
from app.offline.decision import Decision
from topics.events import DriftReport, Level, PerformanceReport, report_from

R = TypeVar("R", DriftReport, PerformanceReport)


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition for which a rule would fire: level, text, and the deciding numbers (None where there are none).

    The stream fires the rule once `for_windows` consecutive windows breach it. A table is one window.
    """

    rule: str
    subject: str
    level: Level
    title: str
    lines: tuple[str, ...]
    value: float | None
    threshold: float | None
    evidence: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_drift(self) -> bool:
        """Return whether the finding is about drift or performance, and not about data quality."""
        return self.rule != DATA_QUALITY

    def only_of(self, names: Collection[str]) -> bool:
        """Return whether the finding is only that values of these features are missing."""
        columns = self.evidence.get("columns")
        if self.rule != DATA_QUALITY or self.subject != "missing" or not isinstance(columns, dict):
            return False
        return bool(names) and set(columns) <= set(names)


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A subject that an enabled rule could not judge, and the reason."""

    rule: str
    subject: str
    reason: str


def findings_of(
    decision: Decision, monitoring: Monitoring, now: datetime
) -> tuple[tuple[Finding, ...], tuple[Unjudged, ...]]:
    """Evaluate every enabled rule for one decision.

    Return what would fire and what was not judged, in the order of the rules.
    """
    reports = reports_of(decision, now)
    judged = [
        (report, verdict) for report in reports if report is not None for verdict in verdicts_of(report, monitoring)
    ]
    findings = tuple(_finding(report, verdict, monitoring) for report, verdict in judged if verdict.state == "breach")
    unjudged = tuple(
        Unjudged(verdict.rule, verdict.subject, _reason(report, verdict))
        for report, verdict in judged
        if verdict.state == "insufficient"
    )
    return findings, unjudged


def reports_of(decision: Decision, now: datetime) -> tuple[DriftReport, PerformanceReport | None]:
    """Return the reports that the stream would make of a decision."""
    performance = decision.performance
    return (
        _report(decision.drift, DriftReport, now),
        None if performance is None else _report(performance, PerformanceReport, now),
    )


def _report(decision: DriftDecision | PerformanceDecision, kind: type[R], now: datetime) -> R:
    """Return the report that the stream would make of the decision."""
    return report_from(
        kind, decision, model="", model_version="", profile_id="", window_start=now, window_end=now, revision=0,
        emitted_at=now,
    )  # fmt: skip


def _finding(report: DriftReport | PerformanceReport, verdict: Verdict, monitoring: Monitoring) -> Finding:
    rule, summary = rule_of(verdict, monitoring.alerting), summary_of(report, verdict, severe=verdict.severe)
    return Finding(
        rule=verdict.rule,
        subject=verdict.subject,
        level="critical" if verdict.severe else rule.level,
        title=headline_of(summary),
        lines=tuple(lines_of(summary)),
        value=verdict.value,
        threshold=verdict.threshold,
        evidence=dict(verdict.evidence),
    )


def _reason(report: DriftReport | PerformanceReport, verdict: Verdict) -> str:
    reason = verdict.evidence.get("reason")
    if isinstance(reason, str):
        return reason
    if not report.sufficient:
        return report.reason if isinstance(report, PerformanceReport) else f"{report.n:,} rows are too few to judge"
    if verdict.rule == PREDICTION_DRIFT:
        return "there are no predictions"
    return "it has no value" if verdict.rule in (CRITICAL_FEATURE, FEATURE_DRIFT) else "there is nothing to compare"
