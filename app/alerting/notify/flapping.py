"""Alerts that fire and are resolved again and again: notified of once as flapping, and once when they have settled."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from app.alerting.events.text import fact, rendered, summary_of_alert
from topics.events import AlertEvent, Fact

HOUR = 3600.0
MARK = "~flapping"
"""After the alert_id of the transition that a channel knows, where it was notified of that as flapping."""


class Flap(Struct, frozen=True, kw_only=True):
    """How often an alert has begun to fire in the last hour. Times are epoch seconds, of when it was taken.

    `changed`: when it last fired or was resolved. `flapping`: since there were too many beginnings until it settles.
    """

    begins: tuple[float, ...] = ()
    firing: bool = False
    changed: float = 0.0
    flapping: bool = False


def turned(flap: Flap | None, alert: AlertEvent, now: float, most: int) -> Flap:
    """Return what is known after a transition. `most`: beginnings in an hour that are not flapping yet."""
    flap = flap or Flap()
    firing = alert.status == "firing"
    if firing == flap.firing:  # its level has changed
        return flap
    begins = tuple(at for at in flap.begins if 0.0 <= now - at < HOUR) + ((now,) if firing else ())
    return Flap(begins=begins, firing=firing, changed=now, flapping=flap.flapping or len(begins) > most)


def is_over(flap: Flap, now: float) -> bool:
    """Return whether an alert has neither fired nor been resolved for an hour. A clock that was set back is no time."""
    return now - flap.changed >= HOUR


def as_flapping(alert: AlertEvent, most: int) -> AlertEvent:
    """Return a transition as people are notified of it while it flaps: it fires."""
    return _noted(replace(alert, status="firing", ended_at=None), fact("flapping", most=most))


def as_settled(alert: AlertEvent) -> AlertEvent:
    """Return a transition as people are notified of it when it flaps no more."""
    return _noted(alert, fact("settled"))


def _noted(alert: AlertEvent, note: Fact) -> AlertEvent:
    summary = summary_of_alert(alert)
    return rendered(alert, replace(summary, notes=(note, *summary.notes)))


def plain(alert_id: str) -> str:
    """Return the alert_id of a transition that a channel knows."""
    return alert_id.removesuffix(MARK)
