"""A notification in plain words, for every channel: what happened, since when, how sure, and by how much.

The sentences are those of `app/alerting/events/text.py`, as the alerts carry them; what they say of columns and
metrics is taken out and laid out as rows. All text is clean here (one line each, no control characters); to escape it
for its medium is the medium's: autoescape in HTML, `blocks.py` in Slack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from urllib.parse import urlsplit

from app.alerting.events.links import ALERTS, DASHBOARD, FEATURE, RUNBOOK
from app.alerting.events.text import MAX_LISTED, column_line, metric_line
from app.alerting.notify.decision import Reason
from app.alerting.notify.notification import Notification
from app.alerting.rendering.rows import (
    LONGEST_LINE,
    LONGEST_NAME,
    DriftRow,
    MetricRow,
    column_row,
    drifted_of,
    metric_row,
    metrics_of,
)
from app.alerting.rendering.sanitize import clean
from app.alerting.rendering.times import in_zone
from app.alerting.rules.model_rules import DATA_DRIFT, ESTIMATE, PERFORMANCE
from topics.events import AlertEvent, FeatureDrift, MetricChange
from topics.levels import rank

MARKS = {"info": "ℹ️", "warning": "⚠️", "error": "🔴", "critical": "🚨"}
RESOLVED_MARK = "✅"
LINK_WORDS = {
    DASHBOARD: "Open the dashboard",
    FEATURE: "See what has drifted",
    RUNBOOK: "Open the runbook",
    ALERTS: "All alerts, and silences",
}
MOST_ALERTS = 10
"""Alerts of a group that are told one by one; the rest is counted."""
MOST_LINES = 12
MOST_LABELS = 8
ON_PERFORMANCE = {PERFORMANCE, ESTIMATE}
_MORE = re.compile(r"and \d+ more")


@dataclass(frozen=True, slots=True)
class AlertContent:
    """One alert of the group: its title, and what is said of it alone."""

    mark: str
    level: str
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MessageContent:
    """What a message says, in its order. `state` is firing or resolved; times are RFC 3339, in UTC."""

    mark: str
    state: str
    level: str
    title: str
    facts: tuple[str, ...]
    columns: tuple[DriftRow, ...]
    more_columns: int
    metrics: tuple[MetricRow, ...]
    alerts: tuple[AlertContent, ...]
    more_alerts: int
    labels: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    reason: str
    notification_id: str
    emitted_at: str

    @property
    def subject(self) -> str:
        """The message in one line of at most 160 characters."""
        said = "resolved" if self.state == "resolved" else self.level
        return clean(f"{self.mark} [{said}] {self.title}", 160)

    @property
    def worst(self) -> DriftRow | None:
        """The first column that can be drawn."""
        return next((column for column in self.columns if column.shape is not None), None)


def build_content(notification: Notification, zone: tzinfo | None = None) -> MessageContent:
    """The words of a notification. Pure; evidence that it does not understand is left out. `zone`: for its times."""
    alerts = list(notification.firing)
    if notification.reason != Reason.DIGEST:  # its alerts are in their order
        alerts.sort(key=lambda alert: (-rank(alert.level), alert.started_at, alert.title))
    alerts += sorted(notification.resolved, key=lambda alert: (alert.started_at, alert.title))
    drifted = drifted_of(notification.firing)
    metrics = metrics_of(notification.firing or notification.resolved)[:MAX_LISTED]
    beside, more = _beside(alerts)
    columns = [column for column, _ in drifted[:MAX_LISTED]]
    said = [_lines(alert, beside | _shown(alert, columns, metrics)) for alert in alerts]
    facts = said[0] if said else ()
    if len(said) > 1:
        facts = tuple(line for line in facts if all(line in lines for lines in said))
    told = [
        AlertContent(_mark(a), _said(a), _title(a), tuple(line for line in lines if line not in facts)[:MOST_LINES])
        for a, lines in zip(alerts, said, strict=True)
    ]
    story = MessageContent(
        mark=RESOLVED_MARK if notification.status == "resolved" else MARKS[notification.level],
        state=notification.status,
        level=notification.level,
        title=clean(notification.title, LONGEST_LINE),
        facts=(*facts[:MOST_LINES], *more[:MOST_LINES]),
        columns=tuple(column_row(column, shape) for column, shape in drifted[:MAX_LISTED]),
        more_columns=max(len(drifted) - MAX_LISTED, 0),
        metrics=tuple(map(metric_row, metrics)),
        alerts=() if len(told) == 1 and told[0].title == clean(notification.title, LONGEST_LINE) else tuple(
            told[:MOST_ALERTS]
        ),
        more_alerts=max(len(told) - MOST_ALERTS, 0),
        labels=tuple(
            (clean(k.replace("_", " "), LONGEST_NAME), clean(v, LONGEST_NAME)) for k, v in notification.labels.items()
        )[:MOST_LABELS],
        links=tuple(_links(notification.links)),
        reason=clean(notification.reason, LONGEST_NAME),
        notification_id=clean(notification.notification_id, LONGEST_NAME),
        emitted_at=_moment(notification.emitted_at),
    )  # fmt: skip
    return story if zone is None else _in_zone(story, notification.emitted_at, zone)


def _in_zone(story: MessageContent, emitted_at: datetime, zone: tzinfo) -> MessageContent:
    return replace(
        story,
        title=in_zone(story.title, zone),
        facts=tuple(in_zone(line, zone) for line in story.facts),
        alerts=tuple(
            replace(told, title=in_zone(told.title, zone), lines=tuple(in_zone(line, zone) for line in told.lines))
            for told in story.alerts
        ),
        emitted_at=in_zone(f"{emitted_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", zone),
    )


def _shown(alert: AlertEvent, columns: Sequence[FeatureDrift], metrics: Sequence[MetricChange]) -> set[str]:
    """The lines of an alert that the rows say; of one that fires also where its numbers are those of another window."""
    lines = {column_line(column) for column in columns} | {metric_line(metric) for metric in metrics}
    if alert.status == "firing":
        named, measured = {column.name for column in columns}, {metric.name for metric in metrics}
        lines |= {column_line(column) for column, _ in drifted_of([alert]) if column.name in named}
        lines |= {metric_line(metric) for metric in metrics_of([alert]) if metric.name in measured}
    return lines


def _beside(alerts: Sequence[AlertEvent]) -> tuple[set[str], list[str]]:
    """What alerts say beside what they are about: all of it, and that which no other alert of the group is about."""
    rules = {alert.rule for alert in alerts}
    every, told = set[str](), dict[str, None]()
    for alert in alerts:
        given = alert.evidence.get("beside")
        lines = [line for line in given if isinstance(line, str)] if isinstance(given, list) else []
        every.update(lines)
        if rules.isdisjoint({DATA_DRIFT} if alert.rule in ON_PERFORMANCE else ON_PERFORMANCE):
            told |= dict.fromkeys(clean(line, LONGEST_LINE) for line in lines)
    return every, list(told)


def _title(alert: AlertEvent) -> str:
    return clean(alert.title, LONGEST_LINE)


def _mark(alert: AlertEvent) -> str:
    return MARKS[alert.level] if alert.status == "firing" else RESOLVED_MARK


def _said(alert: AlertEvent) -> str:
    return alert.level if alert.status == "firing" else "resolved"


def _lines(alert: AlertEvent, elsewhere: set[str]) -> tuple[str, ...]:
    """What an alert says, but for what is said elsewhere, and its links."""
    links = {f"{name}: {address}" for name, address in alert.links.items()}
    lines = [line for line in alert.message.split("\n") if line not in elsewhere and line not in links]
    shown = len(lines) < len(alert.message.split("\n"))
    return tuple(clean(line, LONGEST_LINE) for line in lines if line.strip() and not (shown and _MORE.fullmatch(line)))


def _links(links: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, address in sorted(links.items(), key=lambda link: list({**LINK_WORDS, **links}).index(link[0])):
        if urlsplit(address).scheme in ("http", "https") and address == clean(address):
            yield clean(LINK_WORDS.get(name, name), LONGEST_NAME), address


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
