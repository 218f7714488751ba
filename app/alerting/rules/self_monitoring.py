"""Alerts about the monitor itself: what it cannot do any more, and what somebody has to decide."""

from __future__ import annotations

from datetime import UTC, datetime

from app.alerting.rules.lifecycle import fingerprint_of
from app.alerting.rules.service_rules import MONITOR
from topics.events import AlertEvent

SELF = "driftline"
"""What reports and alerts about it have for a model; a report's version is the consumer group."""


def dead_letters_alert(
    topic: str, partition: int, offset: int, since: float, reason: str, share: float, window: int, now: datetime
) -> AlertEvent:
    """Too much of a topic cannot be read, from the record at an offset on, which came at `since` (epoch seconds).

    The same storm is the same alert, whichever worker meets it, and however often.
    """
    labels = _labels(topic)
    fingerprint = fingerprint_of(labels)
    return AlertEvent(
        alert_id=f"{fingerprint}-{partition}-{offset}",
        fingerprint=fingerprint,
        status="firing",
        level="critical",
        rule=MONITOR,
        title=f"driftline has stopped: {topic} cannot be read",
        message=(
            f"more than {share:.0%} of {window:,} records in a row of {topic}, partition {partition}, cannot be read, "
            f"up to offset {offset}: {reason}. Nothing is counted, and nothing lost, until somebody acts: mend the "
            f"producer, then start a worker once with --accept-dead-letters, or set a higher dead_letter_share"
        ),
        labels=labels,
        started_at=datetime.fromtimestamp(since, UTC),
        ended_at=None,
        evidence={
            "topic": topic, "partition": partition, "offset": offset, "reason": reason,
            "threshold": share, "window": window,
        },
        links={},
        emitted_at=now,
    )  # fmt: skip


def dead_letters_over(topic: str, partition: int, offset: int, since: float, now: datetime) -> AlertEvent:
    """The stream has passed the offset at which `dead_letters_alert` said that it had stopped."""
    labels = _labels(topic)
    fingerprint = fingerprint_of(labels)
    return AlertEvent(
        alert_id=f"{fingerprint}-{partition}-{offset}-over",
        fingerprint=fingerprint,
        status="resolved",
        level="critical",
        rule=MONITOR,
        title=f"driftline goes on: {topic} is read again",
        message=(
            f"{topic}, partition {partition}, is read and counted again past offset {offset}, where it had stopped; "
            f"what could not be read is in the dead letters"
        ),
        labels=labels,
        started_at=datetime.fromtimestamp(since, UTC),
        ended_at=now,
        evidence={"topic": topic, "partition": partition, "offset": offset},
        links={},
        emitted_at=now,
    )


def _labels(topic: str) -> dict[str, str]:
    return {"model": SELF, "rule": MONITOR, "topic": topic}
