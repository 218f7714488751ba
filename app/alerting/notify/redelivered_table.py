"""Notifications that were given up and have been sent again since, read from the topic `undelivered`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from app.kafka.global_table import FollowedTopic
from app.settings.settings import Settings
from topics.events import UndeliveredEvent
from topics.registry import UNDELIVERED

MOST = 100_000
"""Highest number of given-up notifications in memory, about 50 MB. The oldest are removed first."""


class _Alert(msgspec.Struct, frozen=True):
    alert_id: str
    fingerprint: str
    emitted_at: datetime


class _Notification(msgspec.Struct, frozen=True):
    """The part of an `app.alerting.notify.notification.Notification` that is needed here."""

    group: str
    firing: tuple[_Alert, ...]
    resolved: tuple[_Alert, ...]


_letters = msgspec.json.Decoder(UndeliveredEvent)
_notifications = msgspec.json.Decoder(_Notification)


class RedeliveredTable(FollowedTopic):
    """Transitions that were given up and later sent by `alerts redeliver`, by group and channel."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, UNDELIVERED)
        self._given_up: dict[bytes, tuple[tuple[str, str], dict[str, str]]] = {}
        self._told: dict[tuple[str, str], dict[str, str]] = {}

    def heard(self, group: str, channel: str) -> Mapping[str, str]:
        """Return the fingerprints and alert_ids of a group's transitions that a channel received by redelivery."""
        return self._told.get((group, channel), {})

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        if value is not None:
            letter = _letters.decode(value)
            told = _notifications.decode(letter.notification)
            transitions = sorted((*told.firing, *told.resolved), key=lambda alert: alert.emitted_at)
            alerts = {alert.fingerprint: alert.alert_id for alert in transitions}
            self._given_up[key or b""] = (told.group, letter.channel), alerts
            known = self._told.get((told.group, letter.channel), {})
            for fingerprint in [name for name, alert_id in alerts.items() if known.get(name) == alert_id]:
                del known[fingerprint]  # the transition has been given up again since
            if len(self._given_up) > MOST:
                del self._given_up[next(iter(self._given_up))]
        elif (found := self._given_up.pop(key or b"", None)) is not None:
            self._told.setdefault(found[0], {}).update(found[1])
            self.revision += 1
