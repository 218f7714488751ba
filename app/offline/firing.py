"""What the stream's rules say of a decision: what would fire, and what no rule can judge."""

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
    """What a rule would fire for: its level, in words, and the numbers that decided (None where there are none).

    A stream would fire it once it has been found in `for_windows` windows in a row; a table is one window.
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
        """Whether it is of drift or of performance, not of the quality of the data."""
        return self.rule != DATA_QUALITY

    def only_of(self, names: Collection[str]) -> bool:
        """Whether it says of these features alone that values are missing."""
        columns = self.evidence.get("columns")
        if self.rule != DATA_QUALITY or self.subject != "missing" or not isinstance(columns, dict):
            return False
        return bool(names) and set(columns) <= set(names)


@dataclass(frozen=True, slots=True)
class Unjudged:
    """What an enabled rule could not judge, and why."""

    rule: str
    subject: str
    reason: str


def findings_of(
    decision: Decision, monitoring: Monitoring, now: datetime
) -> tuple[tuple[Finding, ...], tuple[Unjudged, ...]]:
    """Every enabled rule asked about one decision, in the order of the rules: what would fire, what was not judged."""
    reports: list[DriftReport | PerformanceReport] = [_report(decision.drift, DriftReport, now)]
    if decision.performance is not None:
        reports.append(_report(decision.performance, PerformanceReport, now))
    judged = [(report, verdict) for report in reports for verdict in verdicts_of(report, monitoring)]
    findings = tuple(_finding(report, verdict, monitoring) for report, verdict in judged if verdict.state == "breach")
    unjudged = tuple(
        Unjudged(verdict.rule, verdict.subject, _reason(report, verdict))
        for report, verdict in judged
        if verdict.state == "insufficient"
    )
    return findings, unjudged


def _report(decision: DriftDecision | PerformanceDecision, kind: type[R], now: datetime) -> R:
    """The report that the stream would make of the decision."""
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
