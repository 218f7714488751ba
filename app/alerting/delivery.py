"""What a channel is, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


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

    async def deliver(self, told: Any, /) -> Outcome:
        """Tell of one transition.

        Promises: it answers, and never raises for what the outside does; `Delivered` only once the other side
        has it; the same alert may come again after a crash. Reasons hold no secrets.
        """
