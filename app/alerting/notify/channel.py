"""Protocol of a channel, and the outcomes that a channel returns."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from app.alerting.notify.notification import Notification


@dataclass(frozen=True, slots=True)
class Delivered:
    """Outcome: the channel has stored the notification durably."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Retryable:
    """Outcome: failed for now. Another attempt is worthwhile, after `after` seconds where the channel gives a time."""

    reason: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Permanent:
    """Outcome: failed for as long as the settings are unchanged. `reason` says what to change."""

    reason: str


Outcome = Delivered | Retryable | Permanent


class Channel(Protocol):
    """A way to send notifications. `name` is the channel's name in `alerting.channels`."""

    @property
    def name(self) -> str:
        """Return the channel's name."""

    async def deliver(self, notification: Notification) -> Outcome:
        """Deliver the notification of one group of alerts and return the outcome.

        An implementation returns an outcome and never raises for an external failure. It returns `Delivered` only once
        the other side has the notification. A notification with the same id may come again after a crash. An attempt
        that takes too long may be cancelled. Reasons contain no secrets.
        """


@runtime_checkable
class Selective(Protocol):
    """A channel that states whether it takes digests of many groups. All other channels take digests."""

    @property
    def digests(self) -> bool:
        """Return whether the channel takes digests."""


def takes_digests(channel: object) -> bool:
    """Return whether a channel takes digests of many groups."""
    return not isinstance(channel, Selective) or channel.digests


async def attempt(channel: Channel, notification: Notification, seconds: float) -> Outcome:
    """Make one delivery attempt in at most `seconds`. Return an outcome even where the channel raises or hangs."""
    try:
        async with asyncio.timeout(seconds):
            return await channel.deliver(notification)
    except TimeoutError:
        return Retryable(f"no answer in {seconds:g} s")
    except Exception as error:  # noqa: BLE001 - one broken channel must not stop the others, nor the stream
        # Only the type: an error's message may contain an address with a secret in it.
        return Permanent(f"the channel failed with {type(error).__name__}")
