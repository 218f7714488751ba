"""Flapping alerts, which fire and resolve repeatedly: one notification when flapping begins, and one when it has
settled.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from app.alerting.events.text import fact, rendered, summary_of_alert
from topics.events import AlertEvent, Fact

HOUR = 3600.0
MARK = "~flapping"
"""Suffix of the alert_id of a transition that was sent to a channel as flapping."""


class Flap(Struct, frozen=True, kw_only=True):
    """Starts of an alert in the last hour. Times are epoch seconds at which the transition was read.

    `changed`: time when the alert last fired or was resolved. `flapping`: true from too many starts until the alert
    settles.
    """

    begins: tuple[float, ...] = ()
    firing: bool = False
    changed: float = 0.0
    flapping: bool = False


def turned(flap: Flap | None, alert: AlertEvent, now: float, most: int) -> Flap:
    """Return the flap state after a transition. `most`: starts in an hour that do not count as flapping yet."""
    flap = flap or Flap()
    firing = alert.status == "firing"
    if firing == flap.firing:  # only the level has changed
        return flap
    begins = tuple(at for at in flap.begins if 0.0 <= now - at < HOUR) + ((now,) if firing else ())
    return Flap(begins=begins, firing=firing, changed=now, flapping=flap.flapping or len(begins) > most)


def is_over(flap: Flap, now: float) -> bool:
    """Return whether an alert has neither fired nor resolved for an hour. A clock that was set back adds no time."""
    return now - flap.changed >= HOUR


def as_flapping(alert: AlertEvent, most: int) -> AlertEvent:
    """Return the form in which a transition of a flapping alert is sent: with status firing."""
    return _noted(replace(alert, status="firing", ended_at=None), fact("flapping", most=most))


def as_settled(alert: AlertEvent) -> AlertEvent:
    """Return the form in which a transition is sent when the alert no longer flaps."""
    return _noted(alert, fact("settled"))


def _noted(alert: AlertEvent, note: Fact) -> AlertEvent:
    summary = summary_of_alert(alert)
    return rendered(alert, replace(summary, notes=(note, *summary.notes)))


def plain(alert_id: str) -> str:
    """Return a transition's alert_id without the mark for flapping."""
    return alert_id.removesuffix(MARK)
