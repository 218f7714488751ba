"""What a channel is to be told, as one notification."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from app.alerting.group import Telling
from app.alerting.notification import Notification
from app.alerting.rules import DATA_DRIFT
from app.core.notifying import LEVELS
from topics.events import AlertEvent

NAMED = 3
"""Rules, or subjects of one rule, that a title names."""


def compose(group: str, labels: Mapping[str, str], telling: Telling, emitted_at: datetime) -> Notification:
    """The notification of a telling. `labels`: what names the group."""
    alerts = (*telling.firing, *telling.resolved)
    links: dict[str, str] = {}
    for alert in sorted(alerts, key=_by_drift):
        links = {**alert.links, **links}
    return Notification(
        notification_id=_id_of(group, telling),
        group=group,
        labels={**labels, **_common(alerts)},
        status="firing" if telling.firing else "resolved",
        level=max((alert.level for alert in telling.firing or alerts), key=LEVELS.index),
        reason=telling.reason.value,
        title=_title(labels, telling),
        firing=telling.firing,
        resolved=telling.resolved,
        links=links,
        emitted_at=emitted_at,
    )


def _by_drift(alert: AlertEvent) -> tuple[bool, float]:
    """For the link to the worst feature: the alert that has compared them all first, then the largest effect."""
    value = alert.evidence.get("value")
    return alert.rule != DATA_DRIFT, -value if isinstance(value, float) else 0.0


def _id_of(group: str, telling: Telling) -> str:
    """The same whenever the same is told again: another repeat is another one, another attempt is not."""
    ids = [[alert.alert_id for alert in alerts] for alerts in (telling.firing, telling.resolved)]
    parts = [group, telling.channel, telling.sequence, *ids]
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()


def _common(alerts: Sequence[AlertEvent]) -> dict[str, str]:
    """The labels that all have with the same value."""
    first, *rest = alerts
    return {name: value for name, value in first.labels.items() if all(a.labels.get(name) == value for a in rest)}


def _title(labels: Mapping[str, str], telling: Telling) -> str:
    alerts = (*telling.firing, *telling.resolved)
    if len(alerts) == 1:
        return alerts[0].title
    about = f"{labels.get('model', '')} {labels.get('model_version', '')}".strip()
    parts = []
    if telling.firing:
        parts.append(f"{_alerts(telling.firing)} firing ({_rules(telling.firing)})")
    if telling.resolved:
        parts.append(f"{_alerts(telling.resolved) if not parts else len(telling.resolved)} resolved")
    return f"{about}: {', '.join(parts)}"


def _alerts(alerts: Sequence[AlertEvent]) -> str:
    return f"{len(alerts)} alert{'' if len(alerts) == 1 else 's'}"


def _rules(alerts: Sequence[AlertEvent]) -> str:
    """The rules, the worst alerts' first; of one rule alone what it speaks of."""
    worst = sorted(alerts, key=lambda alert: -LEVELS.index(alert.level))
    rules = list(dict.fromkeys(alert.rule for alert in worst))
    if len(rules) == 1 and len(worst) > 1:
        return f"{rules[0]}: {_some([alert.labels.get('subject', '') for alert in worst])}"
    return _some(rules)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def within(notification: Notification, limit: int) -> Notification:
    """The same notification, without the alerts' evidence where it would be more than `limit` bytes as JSON."""
    if len(msgspec.json.encode(notification)) <= limit:
        return notification
    light = [
        tuple(msgspec.structs.replace(alert, evidence={}) for alert in alerts)
        for alerts in (notification.firing, notification.resolved)
    ]
    return msgspec.structs.replace(notification, firing=light[0], resolved=light[1])
