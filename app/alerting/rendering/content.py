"""Content of a notification for every channel: what happened, since when, how certain, and how large.

Columns and metrics of the alerts' summaries become rows. Facts that no row contains become lines, rendered by
`app/alerting/events/text.py`. All text here is clean: one line each, without control characters. Each medium escapes
the text itself: autoescape in HTML, `slack_blocks.py` for Slack.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from urllib.parse import urlsplit

from app.alerting.events.links import ALERTS, DASHBOARD, FEATURE, RUNBOOK
from app.alerting.events.sentences import MAX_LISTED
from app.alerting.events.text import column_named, line_of, metric_named, summary_of_alert
from app.alerting.notify.decision import Reason
from app.alerting.notify.notification import Notification
from app.alerting.rendering.rows import (
    LONGEST_LINE,
    LONGEST_NAME,
    DriftRow,
    MetricRow,
    column_row,
    drifted_columns,
    metric_row,
    shown_metrics,
)
from app.alerting.rendering.sanitize import clean
from app.alerting.rendering.times import in_zone
from app.alerting.rules.model_rules import DATA_DRIFT, ESTIMATE, PERFORMANCE
from topics.events import AlertEvent, AlertSummary, Fact, FeatureDrift, MetricChange, RelatedWindow
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
"""Number of alerts of a group that are listed one by one. The others are counted."""
MOST_LINES = 12
MOST_LABELS = 8
ON_PERFORMANCE = {PERFORMANCE, ESTIMATE}
REFERENCES = ("column", "metric")
"""Kinds of facts that name a column or a metric."""


@dataclass(frozen=True, slots=True)
class AlertContent:
    """One alert of the group: its title, and the lines that no other part of the message contains."""

    mark: str
    level: str
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MessageContent:
    """Content of a message, in its order. `state` is firing or resolved; times are RFC 3339, in UTC."""

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
        """Return the message in one line of at most 160 characters."""
        said = "resolved" if self.state == "resolved" else self.level
        return clean(f"{self.mark} [{said}] {self.title}", 160)

    @property
    def worst(self) -> DriftRow | None:
        """Return the first column that can be drawn; None where there is none."""
        return next((column for column in self.columns if column.shape is not None), None)


def build_content(notification: Notification, zone: tzinfo | None = None) -> MessageContent:
    """Return the content of a notification. Pure. `zone`: time zone of its times; None for UTC alone."""
    firing, resolved = (
        [(alert, summary_of_alert(alert)) for alert in alerts]
        for alerts in (notification.firing, notification.resolved)
    )
    drifted, names = drifted_columns([summary for _, summary in firing])
    metrics = shown_metrics(firing or resolved)[:MAX_LISTED]
    shown = Shown({column.name: column for column in drifted[:MAX_LISTED]}, {metric.name: metric for metric in metrics})
    if notification.reason != Reason.DIGEST:  # a digest's alerts are already in order
        firing.sort(key=lambda pair: (-rank(pair[0].level), pair[0].started_at, pair[0].title))
    pairs = [*firing, *sorted(resolved, key=lambda pair: (pair[0].started_at, pair[0].title))]
    said = [tuple(_lines(alert, summary, shown)) for alert, summary in pairs]
    facts = said[0] if said else ()
    if len(said) > 1:
        facts = tuple(line for line in facts if all(line in lines for lines in said))
    told = [
        AlertContent(_mark(a), _said(a), _title(a), tuple(line for line in lines if line not in facts)[:MOST_LINES])
        for (a, _), lines in zip(pairs, said, strict=True)
    ]
    related = _related(pairs)
    story = MessageContent(
        mark=RESOLVED_MARK if notification.status == "resolved" else MARKS[notification.level],
        state=notification.status,
        level=notification.level,
        title=clean(notification.title, LONGEST_LINE),
        facts=(*facts[:MOST_LINES], *related[:MOST_LINES]),
        columns=tuple(map(column_row, shown.columns.values())),
        more_columns=max(len(names) - MAX_LISTED, 0),
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


@dataclass(frozen=True, slots=True)
class Shown:
    """The columns and metrics that have a row, by name."""

    columns: Mapping[str, FeatureDrift]
    metrics: Mapping[str, MetricChange]

    def has(self, one: Fact, of: AlertSummary | RelatedWindow, *, firing: bool) -> bool:
        """Return whether a row shows a fact. For a firing alert, a row with numbers of another window counts too."""
        name = one.values.get("name")
        if one.kind == "column" and name in self.columns:
            return firing or _plain(column_named(one, of)) == _plain(self.columns[str(name)])
        if one.kind == "metric" and name in self.metrics:
            return firing or metric_named(one, of.metrics) == self.metrics[str(name)]
        return False


def _plain(column: FeatureDrift) -> FeatureDrift:
    return replace(column, shape=None)


def _lines(alert: AlertEvent, summary: AlertSummary, shown: Shown) -> Iterator[str]:
    """Yield an alert's lines without the rows, the links, and the sentences on its related window."""
    firing = alert.status == "firing"
    facts = [(one, of, shown.has(one, of, firing=firing)) for one, of in _facts(summary)]
    has_rows = any(is_shown for _, _, is_shown in facts)
    for one, of, is_shown in facts:
        if is_shown or one.kind == "link" or (one.kind == "more_columns" and has_rows):
            continue
        if line := clean(line_of(one, of), LONGEST_LINE):
            yield line


def _facts(summary: AlertSummary) -> Iterator[tuple[Fact, AlertSummary | RelatedWindow]]:
    """Yield the facts in the message's order, each with its summary or related window.

    Sentences on the related window are left out.
    """
    yield from ((one, summary) for one in (*summary.notes, *summary.facts))
    if (related := summary.related) is not None:
        yield from ((one, related) for one in related.facts if one.kind in REFERENCES)
    yield from ((one, summary) for one in summary.advice)


def _related(alerts: Sequence[tuple[AlertEvent, AlertSummary]]) -> list[str]:
    """Return the sentences of alerts on their related windows, each once.

    An alert's sentences are left out where another alert of the group is about the related window.
    """
    rules = {alert.rule for alert, _ in alerts}
    found: dict[str, None] = {}
    for alert, summary in alerts:
        related = summary.related
        if related is not None and rules.isdisjoint({DATA_DRIFT} if alert.rule in ON_PERFORMANCE else ON_PERFORMANCE):
            sentences = [one for one in related.facts if one.kind not in REFERENCES]
            found |= dict.fromkeys(clean(line_of(one, related), LONGEST_LINE) for one in sentences)
    return list(found)


def _title(alert: AlertEvent) -> str:
    return clean(alert.title, LONGEST_LINE)


def _mark(alert: AlertEvent) -> str:
    return MARKS[alert.level] if alert.status == "firing" else RESOLVED_MARK


def _said(alert: AlertEvent) -> str:
    return alert.level if alert.status == "firing" else "resolved"


def _links(links: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, address in sorted(links.items(), key=lambda link: list({**LINK_WORDS, **links}).index(link[0])):
        if urlsplit(address).scheme in ("http", "https") and address == clean(address):
            yield clean(LINK_WORDS.get(name, name), LONGEST_NAME), address


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
