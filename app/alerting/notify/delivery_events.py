"""Events about the result of a notification: one for each of its alerts, and one for a notification that was given
up.
"""

from __future__ import annotations

import msgspec

from app.alerting.notify.notification import transitions_of
from app.alerting.notify.retry_policy import PendingNotification
from topics.events import DeliveryEvent, UndeliveredEvent, from_epoch


def key_of(pending: PendingNotification) -> bytes:
    """Return the key of a notification that was given up."""
    return letter_key(pending.notification.notification_id, pending.channel)


def letter_key(notification_id: str, channel: str) -> bytes:
    """Return the key of a given-up notification, built from its id and its channel."""
    return f"{notification_id}/{channel}".encode()


def delivery_events(pending: PendingNotification) -> list[DeliveryEvent]:
    """Return one event for each alert of a finished notification."""
    return [
        DeliveryEvent(
            alert_id=alert.alert_id,
            fingerprint=alert.fingerprint,
            channel=pending.channel,
            outcome="delivered" if pending.outcome == "delivered" else "failed",
            attempts=pending.attempts,
            detail=pending.detail,
            delivered_at=from_epoch(pending.settled_at),
            notification_id=pending.notification.notification_id,
            reason=pending.notification.reason,
        )
        for alert in transitions_of(pending.notification)
    ]


def undelivered_event(pending: PendingNotification) -> UndeliveredEvent:
    """Return the dead letter of a notification that was given up."""
    return UndeliveredEvent(
        notification=msgspec.Raw(msgspec.json.encode(pending.notification)),
        notification_id=pending.notification.notification_id,
        channel=pending.channel,
        reason=pending.detail,
        attempts=pending.attempts,
        since=from_epoch(pending.since),
        failed_at=from_epoch(pending.settled_at),
    )
