"""What a channel is, and what it answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from app.alerting.notify.notification import Notification


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


@runtime_checkable
class Selective(Protocol):
    """A channel that says whether it takes digests of many groups; all others do."""

    @property
    def digests(self) -> bool:
        """Whether it does."""


def takes_digests(channel: object) -> bool:
    """Return whether a channel takes digests of many groups."""
    return not isinstance(channel, Selective) or channel.digests


async def attempt(channel: Channel, notification: Notification, seconds: float) -> Outcome:
    """One attempt, in bounded time, that answers whatever the channel does."""
    try:
        async with asyncio.timeout(seconds):
            return await channel.deliver(notification)
    except TimeoutError:
        return Retryable(f"no answer in {seconds:g} s")
    except Exception as error:  # noqa: BLE001 - one broken channel must not stop the others, nor the stream
        # Only the type: an error's words may hold an address with a secret in it.
        return Permanent(f"the channel failed with {type(error).__name__}")
