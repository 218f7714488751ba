"""Attempts under way, each in a task of its own: the stream starts and collects them, and never waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from agents.notify.digests import Digests, Due, Way, expected_of, way_of
from app.alerting.notify.channel import Channel, Delivered, Outcome, Permanent, Retryable, attempt, takes_digests
from app.alerting.notify.digest import digest_of
from app.alerting.notify.notification import Notification, transitions_of
from app.alerting.notify.retry_policy import PendingNotification
from app.telemetry import tracing

NOTHING: Mapping[Way, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FinishedAttempt:
    """Finished attempt: its notification, its number (from 0), and the outcome that the channel returned.

    `digest`: the id of the digest that the notification was in. `begun`: when the attempt began, in epoch seconds.
    """

    partition: int
    notification_id: str
    attempt: int
    channel: str
    outcome: Outcome
    digest: str = ""
    begun: float = 0.0


class DeliveryAttempts:
    """Attempts under way or not yet collected, at most `at_once` for each channel.

    So a crash can repeat at most that many, and no channel uses another channel's time.
    """

    def __init__(
        self, channels: Mapping[str, Channel], *, attempt_seconds: float, at_once: int, digest_above: int = 0,
        digest_interval: float = 60.0,
        current: Callable[[int, PendingNotification], bool] = lambda partition, pending: True,
    ) -> None:  # fmt: skip
        self._channels = channels
        self._attempt_seconds = attempt_seconds
        self._at_once = at_once
        self._tasks: dict[tuple[int, str], tuple[str, asyncio.Task[None]]] = {}
        self._over: dict[tuple[int, str], FinishedAttempt] = {}
        self._held_until: dict[str, float] = {}
        self._collected = asyncio.Event()
        self._ours = set[int]()
        self._digests = Digests(
            digest_above,
            digest_interval,
            separate=lambda name: not takes_digests(channels.get(name)),
            current=current,
            busy=lambda partition, pending: self.has(partition, pending.notification.notification_id),
        )

    def hold(self, channel: str, until: float) -> None:
        """Begin no attempt on a channel before `until` (epoch seconds), as the channel has requested."""
        self._held_until[channel] = until

    def begin(
        self,
        partition: int,
        pendings: Collection[PendingNotification],
        now: float,
        waiting: Mapping[Way, int] = NOTHING,
    ) -> None:
        """Begin the attempts that are due, within the limit. `waiting`: groups that are about to be due."""
        due = [pending for pending in pendings if self._is_due(pending, now)]
        self._digests.offer(partition, due, expected_of(pendings, waiting, now))
        singles, digests = self._digests.plan(partition, now)
        full = set[str]()
        for pending in singles:
            if pending.channel in full:
                continue
            if self._start(pending.channel, [(partition, pending)], now):
                self._digests.sent(pending, now)
            else:
                full.add(pending.channel)
        for due_together in digests:
            way = way_of(due_together[0][1])
            if self._start(way[0], due_together, now):
                self._digests.sent_together(way, now)

    def _is_due(self, pending: PendingNotification, now: float) -> bool:
        when = max(pending.next_at, self._held_until.get(pending.channel, 0.0))
        return not (pending.outcome or pending.withdrawn) and when <= now

    def _start(self, channel: str, due: Sequence[Due], now: float) -> bool:
        """Begin one attempt for one or several notifications. Return False if the channel has too many attempts."""
        if self._taken(channel) >= self._at_once:
            return False
        notification = due[0][1].notification
        if len(due) > 1:
            notification = digest_of([pending.notification for _, pending in due], datetime.fromtimestamp(now, UTC))
        task = asyncio.create_task(self._attempt(channel, notification, due, now), name="deliver")
        for partition, pending in due:
            self._tasks[partition, pending.notification.notification_id] = channel, task
        return True

    def has(self, partition: int, notification_id: str) -> bool:
        """Return whether an attempt for a notification is under way, or not collected yet."""
        key = (partition, notification_id)
        return key in self._tasks or key in self._over

    def _taken(self, channel: str) -> int:
        under_way = {id(task) for name, task in self._tasks.values() if name == channel}
        ours = [one for one in self._over.values() if one.partition in self._ours and one.channel == channel]
        return len(under_way) + len({one.digest or (one.partition, one.notification_id) for one in ours})

    def collect(self, partition: int) -> Iterator[FinishedAttempt]:
        """Yield the finished attempts of a partition, each once."""
        self._ours.add(partition)
        for key in [key for key in self._over if key[0] == partition]:
            yield self._over.pop(key)
        self._collected.set()

    def forget(self, partitions: Iterable[int] | None = None) -> None:
        """Note that partitions (None: all) may move to another worker.

        Attempts that have finished or are under way are collected if the partition comes back. If another worker has
        the partition, that worker does not know of them, and sends again. Outcomes of partitions that did not come back
        until now are dropped.
        """
        self._over = {key: one for key, one in self._over.items() if one.partition in self._ours}
        self._digests.forget(list(self._ours) if partitions is None else list(partitions))
        self._ours.difference_update(set(self._ours) if partitions is None else partitions)

    async def settle(self) -> None:
        """Return once no attempt is under way and all of them have been collected."""
        while self._tasks:
            await asyncio.wait([task for _, task in self._tasks.values()])
        while any(one.partition in self._ours for one in self._over.values()):
            self._collected.clear()
            await self._collected.wait()

    async def _attempt(self, channel: str, notification: Notification, due: Sequence[Due], begun: float) -> None:
        outcome = await self._outcome(channel, notification)
        digest = notification.notification_id if len(due) > 1 else ""
        if digest and isinstance(outcome, Delivered):
            outcome = Delivered(f"{outcome.detail} (in digest {digest} of {len(due)} groups)".strip())
        if digest and isinstance(outcome, Retryable):
            self._digests.failed(way_of(due[0][1]))
        for partition, pending in due:
            key = (partition, pending.notification.notification_id)
            del self._tasks[key]
            self._over[key] = FinishedAttempt(*key, pending.attempts, channel, outcome, digest, begun)

    async def _outcome(self, name: str, notification: Notification) -> Outcome:
        channel = self._channels.get(name)
        if channel is None:
            known = ", ".join(sorted(self._channels))
            return Permanent(f"alerting.channels: there is no {name!r}, only {known}")
        alerts = [alert.fingerprint for alert in transitions_of(notification)]
        with tracing.delivering(name, notification.notification_id, alerts) as told:
            outcome = await attempt(channel, notification, self._attempt_seconds)
            told["outcome"] = type(outcome).__name__.lower()
        return outcome
