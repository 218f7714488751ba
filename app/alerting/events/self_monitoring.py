"""Alerts about the monitor itself: a stopped stream that somebody must act on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from app.alerting.events.text import fact, message_of, title_of
from app.alerting.rules.lifecycle import fingerprint_of
from app.alerting.rules.service_rules import MONITOR
from topics.events import AlertEvent, AlertSummary, Fact

SELF = "driftline"
"""Model name in reports and alerts about the monitor itself. The version of such a report is the consumer group."""


def dead_letters_alert(
    topic: str, partition: int, offset: int, since: float, reason: str, share: float, window: int, now: datetime
) -> AlertEvent:
    """Return the alert that too much of a topic cannot be read, from the record at `offset` on.

    `since`: the time of that record in epoch seconds. The same run of dead letters is the same alert, whichever worker
    meets it, and however often.
    """
    where: dict[str, str | int] = {"topic": topic, "partition": partition, "offset": offset, "reason": reason}
    stopped = fact("stream_stopped", **where, share=share, window=window)
    return _alert(stopped, f"{partition}-{offset}", since, now, {**where, "threshold": share, "window": window})


def dead_letters_over(topic: str, partition: int, offset: int, since: float, now: datetime) -> AlertEvent:
    """Return the resolved transition of `dead_letters_alert`: the stream has passed the offset at which it stopped."""
    where: dict[str, str | int] = {"topic": topic, "partition": partition, "offset": offset}
    goes_on = fact("stream_goes_on", **where)
    return _alert(goes_on, f"{partition}-{offset}-over", since, now, where, over=True)


def _alert(
    found: Fact, name: str, since: float, now: datetime, evidence: Mapping[str, object], *, over: bool = False
) -> AlertEvent:
    """Return a transition whose headline and only line are one fact. `name` distinguishes the alert's transitions."""
    labels = {"model": SELF, "rule": MONITOR, "topic": str(evidence["topic"])}
    fingerprint = fingerprint_of(labels)
    summary = AlertSummary(about="", subject="", headline=found, facts=(found,))
    return AlertEvent(
        alert_id=f"{fingerprint}-{name}",
        fingerprint=fingerprint,
        status="resolved" if over else "firing",
        level="critical",
        rule=MONITOR,
        title=title_of(summary),
        message=message_of(summary),
        labels=labels,
        started_at=datetime.fromtimestamp(since, UTC),
        ended_at=now if over else None,
        evidence=dict(evidence),
        links={},
        emitted_at=now,
        summary=summary,
    )
