"""Construction of a notification from what is planned for a channel."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from app.alerting.events.text import summary_of_alert, title_of_all
from app.alerting.notify.group_evaluation import PlannedNotification
from app.alerting.notify.notification import Notification
from app.alerting.rules.model_rules import DATA_DRIFT
from topics.events import AlertEvent
from topics.levels import rank


def build_notification(
    group: str, labels: Mapping[str, str], telling: PlannedNotification, emitted_at: datetime
) -> Notification:
    """Return the notification of a planned notification. `labels`: the labels that name the group."""
    alerts = (*telling.firing, *telling.resolved)
    links: dict[str, str] = {}
    for alert in sorted(alerts, key=_by_drift):
        links = {**alert.links, **links}
    notification_id = _id_of(group, telling)
    return Notification(
        notification_id=notification_id,
        group=group,
        labels={**labels, **_common(alerts)},
        status="firing" if telling.firing else "resolved",
        level=max((alert.level for alert in telling.firing or alerts), key=rank),
        reason=telling.reason.value,
        title=_title(labels, telling),
        firing=telling.firing,
        resolved=telling.resolved,
        links=links,
        emitted_at=emitted_at,
        group_labels=dict(labels),
        root=telling.root or notification_id,
    )


def _by_drift(alert: AlertEvent) -> tuple[bool, float]:
    """Return a sort key for the link to the worst feature: the data drift alert first, then the largest effect."""
    value = alert.evidence.get("value")
    return alert.rule != DATA_DRIFT, -value if isinstance(value, float) else 0.0


def _id_of(group: str, telling: PlannedNotification) -> str:
    """Return the id of a planned notification: the same for another attempt, a new one for another repeat."""
    ids = [[alert.alert_id for alert in alerts] for alerts in (telling.firing, telling.resolved)]
    parts = [group, telling.channel, telling.sequence, *ids]
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()


def _common(alerts: Sequence[AlertEvent]) -> dict[str, str]:
    """Return the labels that all alerts have with the same value."""
    first, *rest = alerts
    return {name: value for name, value in first.labels.items() if all(a.labels.get(name) == value for a in rest)}


def _title(labels: Mapping[str, str], telling: PlannedNotification) -> str:
    """Return the title of the only alert, or one line about all alerts, the worst first."""
    alerts = (*telling.firing, *telling.resolved)
    if len(alerts) == 1:
        return alerts[0].title
    about = f"{labels.get('model', '')} {labels.get('model_version', '')}".strip()
    worst_first = sorted(telling.firing or telling.resolved, key=lambda alert: -rank(alert.level))
    title = title_of_all(about, [summary_of_alert(alert) for alert in worst_first])
    return f"{title} ({len(telling.resolved)} resolved)" if telling.firing and telling.resolved else title


def fit_size(notification: Notification, limit: int) -> Notification:
    """Return the notification; above `limit` bytes, only with the titles and messages of its alerts."""
    if len(msgspec.json.encode(notification)) <= limit:
        return notification
    light = [
        tuple(msgspec.structs.replace(alert, evidence={}, summary=None) for alert in alerts)
        for alerts in (notification.firing, notification.resolved)
    ]
    return msgspec.structs.replace(notification, firing=light[0], resolved=light[1])
