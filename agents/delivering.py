"""Attempts under way, each in a task of its own: the stream starts them and collects them, and never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from app.alerting.delivery import Channel, Outcome, Permanent, attempt
from app.alerting.notification import transitions_of
from app.alerting.retrying import Pending
from app.telemetry import tracing


@dataclass(frozen=True, slots=True)
class Attempted:
    """An attempt that is over: of which notification's which attempt (from 0), and what the channel answered."""

    partition: int
    notification_id: str
    attempt: int
    channel: str
    outcome: Outcome


class Deliveries:
    """At most `at_once` attempts a channel that are under way or not yet collected: so many can be told twice by a
    crash, and no channel has the time of another."""

    def __init__(self, channels: Mapping[str, Channel], *, attempt_seconds: float, at_once: int) -> None:
        self._channels = channels
        self._attempt_seconds = attempt_seconds
        self._at_once = at_once
        self._tasks: dict[tuple[int, str], tuple[str, asyncio.Task[None]]] = {}
        self._over: dict[tuple[int, str], Attempted] = {}
        self._held_until: dict[str, float] = {}
        self._collected = asyncio.Event()
        self._ours = set[int]()

    def hold(self, channel: str, until: float) -> None:
        """Leave a channel alone until then, in epoch seconds, as it has asked."""
        self._held_until[channel] = until

    def begin(self, partition: int, pendings: Iterable[Pending], now: float) -> None:
        """Begin the attempts that are due, as far as there is room."""
        full = set[str]()
        for pending in pendings:
            when = max(pending.next_at, self._held_until.get(pending.channel, 0.0))
            if pending.outcome or pending.withdrawn or pending.channel in full or when > now:
                continue
            if not self.start(partition, pending):
                full.add(pending.channel)

    def start(self, partition: int, pending: Pending) -> bool:
        """Begin the next attempt; answers whether there was room for it, or it is under way already."""
        key = (partition, pending.notification.notification_id)
        if self.has(*key):
            return True
        if self._taken(pending.channel) >= self._at_once:
            return False
        self._tasks[key] = pending.channel, asyncio.create_task(self._attempt(key, pending), name="deliver")
        return True

    def has(self, partition: int, notification_id: str) -> bool:
        """Return whether an attempt at it is under way, or not collected yet."""
        key = (partition, notification_id)
        return key in self._tasks or key in self._over

    def _taken(self, channel: str) -> int:
        under_way = sum(name == channel for name, _ in self._tasks.values())
        ours = [one for one in self._over.values() if one.partition in self._ours]
        return under_way + sum(one.channel == channel for one in ours)

    def collect(self, partition: int) -> Iterator[Attempted]:
        """The attempts of a partition that are over, each once."""
        self._ours.add(partition)
        for key in [key for key in self._over if key[0] == partition]:
            yield self._over.pop(key)
        self._collected.set()

    def forget(self, partitions: Iterable[int] | None = None) -> None:
        """Partitions (all) move. What is over or under way is collected if its partition comes back; if another worker
        has it, that one does not know of it, and tells again. Answers that nobody came for until now are dropped."""
        self._over = {key: one for key, one in self._over.items() if one.partition in self._ours}
        self._ours.difference_update(set(self._ours) if partitions is None else partitions)

    async def settle(self) -> None:
        """Return once nothing is under way and all of it has been collected."""
        while self._tasks:
            await asyncio.wait([task for _, task in self._tasks.values()])
        while any(one.partition in self._ours for one in self._over.values()):
            self._collected.clear()
            await self._collected.wait()

    async def _attempt(self, key: tuple[int, str], pending: Pending) -> None:
        outcome = await self._outcome(pending)
        del self._tasks[key]
        self._over[key] = Attempted(*key, pending.attempts, pending.channel, outcome)

    async def _outcome(self, pending: Pending) -> Outcome:
        channel = self._channels.get(pending.channel)
        if channel is None:
            known = ", ".join(sorted(self._channels))
            return Permanent(f"alerting.channels: there is no {pending.channel!r}, only {known}")
        notification = pending.notification
        alerts = [alert.fingerprint for alert in transitions_of(notification)]
        with tracing.delivering(pending.channel, notification.notification_id, alerts) as told:
            outcome = await attempt(channel, notification, self._attempt_seconds)
            told["outcome"] = type(outcome).__name__.lower()
        return outcome
