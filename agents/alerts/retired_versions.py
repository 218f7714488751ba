"""Alerts of model versions that are no longer registered: firing alerts are resolved, and all state is removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from agents.alerts.store import RuleKey
from app.alerting.events.alert_event import alert_of
from app.alerting.rules.lifecycle import RuleState, step
from app.alerting.rules.model_rules import off, rule_of
from app.core.config.monitoring import Alerting
from topics.events import AlertEvent, TrafficReport, from_epoch

GONE = "its model version is not registered any more"


def resolved(
    closed: Mapping[RuleKey, str], state_of: Callable[[RuleKey], RuleState], now: datetime, page: str
) -> Iterator[AlertEvent]:
    """Yield the resolved events of the firing alerts. `closed`: why each rule no longer judges its subject."""
    for key, why in closed.items():
        model, version, rule, subject = key
        state = state_of(key)
        if not state.firing:
            continue
        newest = max(judged.window_end for judged in state.ring)
        verdict = off(rule, subject, why)
        _, transition = step(state, verdict, newest, 0, rule_of(verdict, Alerting()))
        assert transition is not None
        report = _report(model, version, from_epoch(newest), now)
        yield alert_of(report, verdict, transition, rule_of(verdict, Alerting()), emitted_at=now, page=page)


def _report(model: str, version: str, end: datetime, now: datetime) -> TrafficReport:
    """Return a report in place of those that are no longer made, without window or records."""
    return TrafficReport(
        model=model, model_version=version, profile_id="", window_start=end, window_end=end, revision=0, n=0,
        sufficient=False, emitted_at=now, counts=(), silent=0, usual=0.0, coverage=0.0, usual_coverage=0.0,
        feedback_silent=0, feedback_longest=0, feedback_gaps=0, feedback=0, duplicates=0, late=0, expired=0,
    )  # fmt: skip
