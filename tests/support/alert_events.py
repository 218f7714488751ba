"""Alerts, silences and notifications as tests want them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from app.alerting.notify.notification import Notification
from app.alerting.rules.lifecycle import Transition
from tests.support.reports import end_of
from topics.events import AlertEvent, SilenceEvent

DAY = datetime(2017, 5, 1, 23, 59, tzinfo=UTC)


def alert_event(alert_id: str = "a1", **changes: Any) -> AlertEvent:
    """A firing alert."""
    alert = AlertEvent(
        alert_id=alert_id, fingerprint="f", status="firing", level="error", rule="data_drift", title="income 3: drift",
        message="Since May.\nage is off", labels={"model": "income", "model_version": "3"}, started_at=DAY,
        ended_at=None, evidence={"n": 1000}, links={}, emitted_at=DAY,
    )  # fmt: skip
    return msgspec.structs.replace(alert, **changes)


def of_rule(
    rule: str, alert_id: str = "", *, version: str = "3", subject: str = "features", **changes: Any
) -> AlertEvent:
    """An alert of a rule, fingerprinted by its labels."""
    labels = {"model": "income", "model_version": version, "rule": rule, "subject": subject}
    named = f"{version}/{rule}/{subject}"
    return alert_event(alert_id or named, rule=rule, fingerprint=named, labels=labels, title=named, **changes)


def resolved(alert: AlertEvent, alert_id: str = "") -> AlertEvent:
    """The end of an alert."""
    return msgspec.structs.replace(
        alert, alert_id=alert_id or f"{alert.alert_id}-over", status="resolved", ended_at=DAY,
        emitted_at=alert.emitted_at + timedelta(seconds=1),
    )  # fmt: skip


def notification_of(*alerts: AlertEvent, **changes: Any) -> Notification:
    """A notification that tells of these."""
    firing = tuple(alert for alert in alerts if alert.status == "firing")
    ended = tuple(alert for alert in alerts if alert.status == "resolved")
    made = Notification(
        notification_id="n1", group="default", labels=dict(alerts[0].labels), status="firing" if firing else "resolved",
        level=alerts[0].level, reason="first notification", title=alerts[0].title, firing=firing, resolved=ended,
        links={}, emitted_at=DAY,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def silence(*matchers: str, **changes: Any) -> SilenceEvent:
    """A silence that has begun, for an hour."""
    made = SilenceEvent(
        silence_id="s1", matchers=matchers, starts_at=DAY, ends_at=DAY + timedelta(hours=1), created_at=DAY,
        created_by="ada", comment="retraining",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


SILENCE_BODY = {"matchers": ["model=income"], "seconds": 3600, "comment": "retraining", "created_by": "ada"}
FIRED = Transition(status="firing", window_end=end_of(1).timestamp(), started_at=end_of(0).timestamp())
