"""Firing alerts for channels whose other side forgets an alert that is not sent again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, runtime_checkable

from app.alerting.notify.alert_group import AlertGroup
from topics.events import AlertEvent


@runtime_checkable
class Keeper(Protocol):
    """A channel whose other side resolves a firing alert unless the alert is sent again and again."""

    def keep(self, partition: int, firing: Callable[[], Sequence[AlertEvent]]) -> None:
        """Send the firing alerts of a partition again, if they are due. Returns at once."""


def known_to(channel: str, groups: Iterable[AlertGroup]) -> list[AlertEvent]:
    """Return the firing alerts of which a channel was notified, each once."""
    found: dict[str, AlertEvent] = {}
    for group in groups:
        teller = group.tellers.get(channel)
        if teller is not None and teller.told is not None:
            known = teller.told.firing
            found |= {n: a for n, a in group.members.items() if a.status == "firing" and known.get(n) == a.alert_id}
    return list(found.values())
