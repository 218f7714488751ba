"""Notification: the message about one group of alerts that a channel delivers."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from topics.events import AlertEvent, AlertStatus, Level


class Notification(Struct, frozen=True, kw_only=True):
    """The firing alerts of one group, and the alerts that were resolved since the group's last notification.

    `notification_id` stays the same when the same notification is sent again. `group` names the alerts that are
    notified together. `group_labels` are the labels by which the group is formed; `labels` are the labels that its
    alerts have in common. `status` is firing while any alert fires. `level` is the highest level of the firing alerts,
    or of all alerts once none fires. `reason` is the named reason for sending now. `root` is the first notification of
    the incident; its own id where this is the first. An incident lasts from the group's first firing alert until the
    last one is resolved.
    """

    notification_id: str
    group: str
    labels: dict[str, str]
    status: AlertStatus
    level: Level
    reason: str
    title: str
    firing: tuple[AlertEvent, ...]
    resolved: tuple[AlertEvent, ...]
    links: dict[str, str]
    emitted_at: datetime
    group_labels: dict[str, str] = {}
    root: str = ""


def transitions_of(notification: Notification) -> list[AlertEvent]:
    """Return all alerts of a notification, in the order in which they were raised."""
    return sorted((*notification.firing, *notification.resolved), key=lambda alert: alert.emitted_at)
