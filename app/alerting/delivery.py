"""What a channel is, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.alerting.notification import Notification


@dataclass(frozen=True, slots=True)
class Delivered:
    """The channel has it, durably."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Retryable:
    """Not now: worth another attempt, after `after` seconds where the channel says so."""

    reason: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Permanent:
    """Never, as things are set: the reason says what to change."""

    reason: str


Outcome = Delivered | Retryable | Permanent


class Channel(Protocol):
    """A way of telling people. `name` is what `alerting.channels` calls it."""

    @property
    def name(self) -> str:
        """The channel's name."""

    async def deliver(self, notification: Notification) -> Outcome:
        """Tell of one group of alerts.

        Promises: it answers, and never raises for what the outside does; `Delivered` only once the other side
        has it; the same notification, by its id, may come again after a crash. It may be cancelled, when an attempt
        takes too long. Reasons hold no secrets.
        """
