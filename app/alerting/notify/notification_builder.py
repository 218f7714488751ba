"""What a channel is to be told, as one notification."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from app.alerting.notify.group_evaluation import PlannedNotification
from app.alerting.notify.notification import Notification
from app.alerting.rules.model_rules import DATA_DRIFT
from topics.events import AlertEvent
from topics.levels import rank

NAMED = 3
"""Things that have happened, or subjects of one of them, that a title names."""
PLURAL = {"has": "have", "is": "are", "drifts": "drift"}


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
    said = _said(about, telling.firing or telling.resolved)
    more = f" ({len(telling.resolved)} resolved)" if telling.firing and telling.resolved else ""
    return f"{about}: {said}{more}" if about else f"{said}{more}"


def _said(about: str, alerts: Sequence[AlertEvent]) -> str:
    """Their titles without the model; what is said of several subjects alike is said once."""
    subjects: dict[str, list[str]] = {}
    for alert in sorted(alerts, key=lambda alert: -rank(alert.level)):
        title, subject = alert.title.removeprefix(f"{about}: "), alert.labels.get("subject", "")
        alike = bool(subject) and title.startswith(f"{subject} ")
        subjects.setdefault(title.removeprefix(subject) if alike else title, []).append(subject if alike else "")
    parts = [_of_all(names, words) for words, names in subjects.items()]
    return _some(parts, "; ")


def _of_all(names: Sequence[str], words: str) -> str:
    if len(names) == 1 or not names[0]:
        return names[0] + words
    return " ".join([_some(names, ", "), *(PLURAL.get(word, word) for word in words.split())])


def _some(names: Sequence[str], between: str) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return between.join(names[:NAMED]) + more


def fit_size(notification: Notification, limit: int) -> Notification:
    """The same notification, without the alerts' evidence where it would be more than `limit` bytes as JSON."""
    if len(msgspec.json.encode(notification)) <= limit:
        return notification
    light = [
        tuple(msgspec.structs.replace(alert, evidence={}) for alert in alerts)
        for alerts in (notification.firing, notification.resolved)
    ]
    return msgspec.structs.replace(notification, firing=light[0], resolved=light[1])
