"""Verdicts of reports."""

from __future__ import annotations

from app.alerting.rules.model_rules import Verdict, verdicts_of
from app.core.config.monitoring import Monitoring
from topics.events import AnyReport

DEFAULTS = Monitoring()


def found(report: AnyReport, monitoring: Monitoring = DEFAULTS) -> dict[tuple[str, str], Verdict]:
    return {(v.rule, v.subject): v for v in verdicts_of(report, monitoring)}
