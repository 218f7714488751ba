"""A notification in plain words, for every channel: what happened, since when, how sure, and by how much.

The sentences are those of `app/alerting/wording.py`, as the alerts carry them; what they say of columns and metrics is
taken out and laid out as rows. All text is clean here (one line each, no control characters); to escape it
for its medium is the medium's: autoescape in HTML, `blocks.py` in Slack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from app.alerting.notification import Notification
from app.alerting.rules import effect_of, worsening_of
from app.alerting.wording import SMALLEST_P, TOLD, column_line, metric_line
from app.alerting.words import clean
from topics.events import AlertEvent, FeatureDrift, Level, MetricChange, Shape

MARKS = {"info": "ℹ️", "warning": "⚠️", "error": "🔴", "critical": "🚨"}
RESOLVED_MARK = "✅"
LEVELS: dict[Level, int] = {"info": 0, "warning": 1, "error": 2, "critical": 3}
TESTS = {"ks": "KS distance", "jensen-shannon": "JS distance"}
MOST_ALERTS = 10
"""Alerts of a group that are told one by one; the rest is counted."""
MOST_LINES = 12
MOST_LABELS = 8
LONGEST_NAME = 80
LONGEST_LINE = 400
_MORE = re.compile(r"and \d+ more")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column:
    """A feature or a prediction that has drifted: how far, how sure, which way, from what to what."""

    name: str
    effect: str
    sure: str
    direction: str
    reference: str
    current: str
    categorical: bool
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's change against its baseline."""

    name: str
    value: str
    interval: str
    baseline: str
    change: str
    degraded: bool


@dataclass(frozen=True, slots=True)
class Told:
    """One alert of the group: its title, and what is said of it alone."""

    mark: str
    level: str
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """What a message says, in its order. `state` is firing or resolved; times are RFC 3339, in UTC."""

    mark: str
    state: str
    level: str
    title: str
    facts: tuple[str, ...]
    columns: tuple[Column, ...]
    more_columns: int
    metrics: tuple[Metric, ...]
    alerts: tuple[Told, ...]
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
    def worst(self) -> Column | None:
        """The first column that can be drawn."""
        return next((column for column in self.columns if column.shape is not None), None)


def story_of(notification: Notification) -> Story:
    """The words of a notification. Pure; evidence that it does not understand is left out."""
    alerts = sorted(notification.firing, key=lambda alert: (-LEVELS[alert.level], alert.started_at, alert.title))
    alerts += sorted(notification.resolved, key=lambda alert: (alert.started_at, alert.title))
    drifted = _drifted(notification.firing)
    metrics = _metrics(notification.firing or notification.resolved)[:TOLD]
    rows = {column_line(column) for column, _ in drifted[:TOLD]} | {metric_line(metric) for metric in metrics}
    said = [_lines(alert, rows) for alert in alerts]
    facts = said[0] if said else ()
    if len(said) > 1:
        facts = tuple(line for line in facts if all(line in lines for lines in said))
    told = [
        Told(_mark(a), _said(a), _title(a), tuple(line for line in lines if line not in facts)[:MOST_LINES])
        for a, lines in zip(alerts, said, strict=True)
    ]
    return Story(
        mark=RESOLVED_MARK if notification.status == "resolved" else MARKS[notification.level],
        state=notification.status,
        level=notification.level,
        title=clean(notification.title, LONGEST_LINE),
        facts=facts[:MOST_LINES],
        columns=tuple(_column(column, shape) for column, shape in drifted[:TOLD]),
        more_columns=max(len(drifted) - TOLD, 0),
        metrics=tuple(map(_metric, metrics)),
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


def _title(alert: AlertEvent) -> str:
    return clean(alert.title, LONGEST_LINE)


def _mark(alert: AlertEvent) -> str:
    return MARKS[alert.level] if alert.status == "firing" else RESOLVED_MARK


def _said(alert: AlertEvent) -> str:
    return alert.level if alert.status == "firing" else "resolved"


def _lines(alert: AlertEvent, rows: set[str]) -> tuple[str, ...]:
    """What an alert says, but for what the rows and the links say."""
    links = {f"{name}: {address}" for name, address in alert.links.items()}
    lines = [line for line in alert.message.split("\n") if line not in rows and line not in links]
    shown = len(lines) < len(alert.message.split("\n"))
    return tuple(clean(line, LONGEST_LINE) for line in lines if line.strip() and not (shown and _MORE.fullmatch(line)))


def _links(links: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, address in links.items():
        if urlsplit(address).scheme in ("http", "https") and address == clean(address):
            yield clean(name, LONGEST_NAME), address


def _drifted(alerts: Sequence[AlertEvent]) -> list[tuple[FeatureDrift, Shape | None]]:
    """Every column that has drifted, once, the largest effect first."""
    found: dict[str, tuple[FeatureDrift, Shape | None]] = {}
    for alert in alerts:
        for name in ("features", "prediction"):
            for raw in _rows(alert.evidence.get(name)):
                column = _converted(raw, FeatureDrift)
                if column is None or not column.drifted or found.get(column.name, (None, None))[1] is not None:
                    continue
                found[column.name] = column, _converted(raw.get("shape"), Shape)
    return sorted(found.values(), key=lambda pair: (-effect_of(pair[0]), pair[0].name))


def _metrics(alerts: Sequence[AlertEvent]) -> list[MetricChange]:
    """Every metric that is known, once, the most degraded first."""
    found: dict[str, MetricChange] = {}
    for alert in alerts:
        for raw in _rows(alert.evidence.get("metrics")):
            metric = _converted(raw, MetricChange)
            if metric is not None and metric.value is not None:
                found.setdefault(metric.name, metric)
    return sorted(found.values(), key=lambda metric: (not metric.degraded, -worsening_of(metric), metric.name))


def _rows(value: object) -> list[dict[str, object]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list | tuple) else []


def _converted(value: object, kind: type[T]) -> T | None:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _column(column: FeatureDrift, shape: Shape | None) -> Column:
    effect = "nothing to compare"
    if column.statistic is not None:
        test = TESTS.get(column.test, clean(column.test, LONGEST_NAME))
        effect = f"{test} {column.statistic:.3g} (threshold {column.threshold:.3g})"
    return Column(
        name=clean(column.name, LONGEST_NAME),
        effect=effect,
        sure=_sure(column.p_value),
        direction=clean(column.direction, LONGEST_NAME),
        reference=clean(column.reference, LONGEST_LINE),
        current=clean(column.current, LONGEST_LINE),
        categorical=column.kind == "categorical",
        shape=shape,
    )


def _sure(p_value: float | None) -> str:
    if p_value is None:
        return "not tested"
    return f"p < {SMALLEST_P:g}" if p_value < SMALLEST_P else f"p = {p_value:.2g}"


def _metric(metric: MetricChange) -> Metric:
    interval = "" if metric.low is None or metric.high is None else f"{metric.low:.4g} to {metric.high:.4g}"
    change = ""
    if metric.relative is not None:
        change = f"{abs(metric.relative):.1%} {'worse' if metric.relative > 0 else 'better'}"
    return Metric(
        name=clean(metric.name, LONGEST_NAME),
        value="" if metric.value is None else f"{metric.value:.4g}",
        interval=interval,
        baseline="" if metric.baseline is None else f"{metric.baseline:.4g}",
        change=change,
        degraded=metric.degraded,
    )


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
