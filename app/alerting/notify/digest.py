"""Digest of many groups in one message: one line for each alert, the worst first, and a link to all alerts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from app.alerting.events.links import ALERTS, DASHBOARD
from app.alerting.events.text import rendered, summary_of_alert
from app.alerting.notify.decision import Reason
from app.alerting.notify.muting import SAME_MODEL
from app.alerting.notify.notification import Notification
from app.alerting.notify.routing import route_of
from topics.events import AlertEvent, AlertSummary
from topics.levels import LEVELS, rank


def digest_of(notifications: Sequence[Notification], emitted_at: datetime) -> Notification:
    """Return one notification that combines several notifications of one route, without their evidence."""
    firing = sorted((alert for one in notifications for alert in one.firing), key=_worst_first)
    resolved = sorted((alert for one in notifications for alert in one.resolved), key=lambda alert: alert.emitted_at)
    alerts = (*firing, *resolved)
    ids = sorted(one.notification_id for one in notifications)
    notification_id = hashlib.blake2b(msgspec.json.encode(ids), digest_size=8).hexdigest()
    return Notification(
        notification_id=notification_id,
        group=f"{route_of(notifications[0].group, notifications[0].group_labels)}{{}}",
        labels={name: value for name, value in _common(alerts).items() if name not in SAME_MODEL},
        status="firing" if firing else "resolved",
        level=max((alert.level for alert in firing or alerts), key=rank),
        reason=Reason.DIGEST.value,
        title=_title(notifications, firing, resolved),
        firing=tuple(map(_short, firing)),
        resolved=tuple(map(_short, resolved)),
        links=_links(alerts),
        emitted_at=emitted_at,
        root=notification_id,
    )


def _worst_first(alert: AlertEvent) -> tuple[int, float, datetime, str]:
    """Return a sort key: highest level, then largest value relative to its threshold, then earliest start, then
    title.
    """
    value, threshold = alert.evidence.get("value"), alert.evidence.get("threshold")
    numbers = isinstance(value, int | float) and isinstance(threshold, int | float) and threshold > 0
    beyond = value / threshold if numbers else 0.0  # type: ignore[operator]  # both are numbers then
    return -rank(alert.level), -beyond, alert.started_at, alert.title


def _title(notifications: Sequence[Notification], firing: Sequence[AlertEvent], resolved: Sequence[AlertEvent]) -> str:
    versions = {tuple(one.group_labels.get(name, "") for name in SAME_MODEL) for one in notifications}
    said = []
    if firing:
        levels = [sum(alert.level == level for alert in firing) for level in reversed(LEVELS)]
        counts = ", ".join(f"{n} {level}" for n, level in zip(levels, reversed(LEVELS), strict=True) if n)
        said.append(f"{len(firing)} alerts fire ({counts})")
    if resolved:
        said.append(f"{len(resolved)} resolved")
    worst = f"; the worst: {firing[0].title}" if firing else ""
    return f"{len(versions)} model versions: {', '.join(said)}{worst}"


def _short(alert: AlertEvent) -> AlertEvent:
    """Return the alert with only the first of its lines."""
    whole = summary_of_alert(alert)
    short = AlertSummary(
        about=whole.about, subject=whole.subject, headline=whole.headline, notes=whole.notes[:1],
        facts=() if whole.notes else whole.facts[:1],
    )  # fmt: skip
    return replace(rendered(alert, short), evidence={})


def _common(alerts: Sequence[AlertEvent]) -> dict[str, str]:
    first, *rest = alerts
    return {name: value for name, value in first.labels.items() if all(a.labels.get(name) == value for a in rest)}


def _links(alerts: Sequence[AlertEvent]) -> dict[str, str]:
    """Return the links to all alerts and to the dashboard that shows them."""
    found = next((alert.links[ALERTS] for alert in alerts if ALERTS in alert.links), None)
    return {} if found is None else {DASHBOARD: found.partition("#")[0], ALERTS: found}
