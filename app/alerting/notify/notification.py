"""What a channel is asked to tell: one group of alerts, once."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from topics.events import AlertEvent, AlertStatus, Level


class Notification(Struct, frozen=True, kw_only=True):
    """The alerts of one group that fire, and those that were resolved since the group was last told.

    `notification_id` is the same whenever the same is to be told again. `group` names what is told together,
    `group_labels` are the labels that it is grouped by, `labels` those that its alerts have in common; `status` is
    firing while any of them fires; `level` the highest of those that fire (of all, once none does); `reason` the
    named reason for telling now. `root` is the first notification of the incident, which lasts from the first alert of
    the group that fires to the last one's end; its own id where it is the first.
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
    """All its alerts, in the order in which they were raised."""
    return sorted((*notification.firing, *notification.resolved), key=lambda alert: alert.emitted_at)
