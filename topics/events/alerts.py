"""Alerts, their deliveries, and their silences."""

from __future__ import annotations

from typing import Literal

from msgspec import Raw

from topics.events.base import Event, Moment, Name
from topics.levels import Level

AlertStatus = Literal["firing", "resolved"]


class AlertEvent(Event, frozen=True, kw_only=True):
    """One transition of one alert. `alert_id` names the transition, `fingerprint` the alert.

    `owner`: who is to look at it, as the rule or the model says; `links` has its `runbook`, if there is one.
    `expires_at`: when it is resolved by itself, of alerts that others send (rule `external`).
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


class DeliveryEvent(Event, frozen=True, kw_only=True):
    """One alert told through one channel, or not; `reason` says why it was to be told then.

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
    """A notification that was given up, whole, so that it can be sent again, and why.

    `notification` is an `app.alerting.notify.notification.Notification`. A record without a value takes it back.
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
    """Alerts that all `matchers` match are not told from `starts_at` until before `ends_at`.

    Matchers are written `label=value`, `!=`, `=~` or `!~`. With `hours` only then: a maintenance window, which may
    have no end.
    """

    silence_id: Name
    matchers: tuple[str, ...]
    starts_at: Moment
    ends_at: Moment | None
    created_at: Moment
    created_by: str
    comment: str
    hours: Hours | None = None
