"""Alerts, their deliveries, and their silences."""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, field

from topics.events.base import Event, Moment, Name
from topics.levels import Level
from topics.results import FeatureDrift, MetricChange

AlertStatus = Literal["firing", "resolved"]


FactValue = str | int | float | bool | None | tuple[str | int | float, ...]


class Fact(Event, frozen=True, kw_only=True):
    """One statement of an alert, without its wording: a kind, and the values for a sentence of this kind.

    Moments are seconds since the epoch, and spans are seconds. The kinds `column`, `metric` and `estimated` name one of
    the accompanying columns or metrics.
    """

    kind: str
    values: dict[str, FactValue] = field(default_factory=dict)


class RelatedWindow(Event, frozen=True, kw_only=True):
    """Findings of the model version's other report: performance for an alert on drift, drift for one on performance."""

    facts: tuple[Fact, ...]
    columns: tuple[FeatureDrift, ...] = ()
    metrics: tuple[MetricChange, ...] = ()
    estimated: tuple[MetricChange, ...] = ()


class AlertSummary(Event, frozen=True, kw_only=True):
    """Content of an alert as values, from which title and message are rendered.

    `about`: the model and its version, empty where the alert is about none. `headline`: the title's statement about the
    `subject`. `notes`: statements that precede all others, since the alert flaps or has settled. `facts`: in the order
    of the message. `columns` and `metrics`: those that the facts name and the worst of the others, with the worst
    column's shape. `drifted`: the names of all columns that have drifted. `advice`: who should look at the alert, how
    to silence it, and where to read more.
    """

    about: str
    subject: str
    headline: Fact
    facts: tuple[Fact, ...]
    notes: tuple[Fact, ...] = ()
    columns: tuple[FeatureDrift, ...] = ()
    drifted: tuple[str, ...] = ()
    metrics: tuple[MetricChange, ...] = ()
    related: RelatedWindow | None = None
    advice: tuple[Fact, ...] = ()


class AlertEvent(Event, frozen=True, kw_only=True):
    """One transition of one alert. `alert_id` names the transition, `fingerprint` the alert.

    `owner`: who should look at the alert, according to the rule or the model. `links` has its `runbook`, if there is
    one. `expires_at`: when the alert is resolved by itself, for alerts that other programs send (rule `external`).
    `summary`: title and message as values; null for alerts that other programs or older releases send, which have only
    the texts.
    """

    alert_id: str
    fingerprint: str
    status: AlertStatus
    level: Level
    rule: str
    title: str
    message: str
    labels: dict[str, str]
    started_at: Moment
    ended_at: Moment | None
    evidence: dict[str, object]
    links: dict[str, str]
    emitted_at: Moment
    owner: str = ""
    expires_at: Moment | None = None
    summary: AlertSummary | None = None


class DeliveryEvent(Event, frozen=True, kw_only=True):
    """Result of sending one alert through one channel; `reason` is why the alert was to be notified then.

    The alerts of one notification have one event each, with the same `notification_id`.
    """

    alert_id: str
    fingerprint: str
    channel: str
    outcome: Literal["delivered", "failed"]
    attempts: int
    detail: str
    delivered_at: Moment
    notification_id: str = ""
    reason: str = ""


class UndeliveredEvent(Event, frozen=True, kw_only=True):
    """A complete notification that was given up, with the reason, so that it can be sent again.

    `notification` is an `app.alerting.notify.notification.Notification`. A record without a value deletes it.
    """

    notification: Raw
    notification_id: str
    channel: str
    reason: str
    attempts: int
    since: Moment
    failed_at: Moment


class Hours(Event, frozen=True, kw_only=True):
    """Hours of the week by the clock of a time zone: `weekdays` (`mon`…`sun`), from `start` until before `end`.

    An `end` at or before `start` is on the next day.
    """

    weekdays: tuple[str, ...]
    start: str
    end: str
    zone: str


class SilenceEvent(Event, frozen=True, kw_only=True):
    """A silence: alerts that all `matchers` match are not notified from `starts_at` until before `ends_at`.

    Matchers are written `label=value`, `!=`, `=~` or `!~`. With `hours` the silence applies only then: a maintenance
    window, which may have no end.
    """

    silence_id: Name
    matchers: tuple[str, ...]
    starts_at: Moment
    ends_at: Moment | None
    created_at: Moment
    created_by: str
    comment: str
    hours: Hours | None = None
