"""What a channel is to be told, as one notification."""

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
    """The notification of a telling. `labels`: what names the group."""
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
    """For the link to the worst feature: the alert that has compared them all first, then the largest effect."""
    value = alert.evidence.get("value")
    return alert.rule != DATA_DRIFT, -value if isinstance(value, float) else 0.0


def _id_of(group: str, telling: PlannedNotification) -> str:
    """The same whenever the same is told again: another repeat is another one, another attempt is not."""
    ids = [[alert.alert_id for alert in alerts] for alerts in (telling.firing, telling.resolved)]
    parts = [group, telling.channel, telling.sequence, *ids]
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()


def _common(alerts: Sequence[AlertEvent]) -> dict[str, str]:
    """The labels that all have with the same value."""
    first, *rest = alerts
    return {name: value for name, value in first.labels.items() if all(a.labels.get(name) == value for a in rest)}


def _title(labels: Mapping[str, str], telling: PlannedNotification) -> str:
    """The only alert's own title, or in one line what has happened, the worst first."""
    alerts = (*telling.firing, *telling.resolved)
    if len(alerts) == 1:
        return alerts[0].title
    about = f"{labels.get('model', '')} {labels.get('model_version', '')}".strip()
    worst_first = sorted(telling.firing or telling.resolved, key=lambda alert: -rank(alert.level))
    title = title_of_all(about, [summary_of_alert(alert) for alert in worst_first])
    return f"{title} ({len(telling.resolved)} resolved)" if telling.firing and telling.resolved else title


def fit_size(notification: Notification, limit: int) -> Notification:
    """The same notification, with its alerts' titles and messages alone where it would be more than `limit` bytes."""
    if len(msgspec.json.encode(notification)) <= limit:
        return notification
    light = [
        tuple(msgspec.structs.replace(alert, evidence={}, summary=None) for alert in alerts)
        for alerts in (notification.firing, notification.resolved)
    ]
    return msgspec.structs.replace(notification, firing=light[0], resolved=light[1])
