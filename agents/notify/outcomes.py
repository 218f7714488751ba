"""Record of the outcomes of attempts: to be tried again, delivered, or given up."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Iterable

import msgspec
from msgspec.structs import replace

from agents.notify.attempts import DeliveryAttempts, FinishedAttempt
from agents.notify.state import NotifyState
from agents.output import Output
from app.alerting.notify.channel import Retryable
from app.alerting.notify.delivery_events import delivery_events, key_of, letter_key, undelivered_event
from app.alerting.notify.outcomes import finished, obsolete_letters
from app.alerting.notify.retry_policy import PendingNotification, RetryPolicy, after_attempt
from app.kafka.producer import Outgoing
from topics.registry import DELIVERIES, UNDELIVERED

log = logging.getLogger(__name__)


class DeliveryRecorder:
    """Recorder that writes outcomes to the table first, which `saved` waits for, and then publishes them."""

    def __init__(
        self,
        deliveries: DeliveryAttempts,
        patience: RetryPolicy,
        saved: Callable[[], Awaitable[None]] | None,
        rng: random.Random,
    ) -> None:
        self._deliveries = deliveries
        self._patience = patience
        self._saved = saved
        self._rng = rng

    async def collect(self, partition: int, state: NotifyState, out: Output, now: float) -> None:
        """Write the outcomes of finished attempts, and publish those of the notifications that are done."""
        for one in self._deliveries.collect(partition):
            pending = state.pending.get(one.notification_id)
            if pending is not None and pending.attempts == one.attempt and not pending.outcome:
                state.pending[one.notification_id] = self._after(pending, one, now)
        for name, pending in state.pending.items():
            if pending.withdrawn and not pending.outcome and not self._deliveries.has(partition, name):
                state.pending[name] = replace(pending, outcome="failed", detail=pending.withdrawn, settled_at=now)
        state.write()
        done = [pending for pending in state.pending.values() if pending.outcome]
        if done:
            await self.save()
        for pending in done:
            await self._record(state, pending, out)

    async def save(self) -> None:
        """Return once the changelog has everything written to the table."""
        if self._saved is not None:
            await self._saved()

    async def take_back_obsolete(self, state: NotifyState, out: Output) -> None:
        """Remove the undelivered notifications whose alerts have all been notified since, or have ended."""
        for name, group in state.groups.items():
            state.groups[name], letters = obsolete_letters(group)
            await self.take_back(letters, out)

    async def take_back(self, letters: Iterable[tuple[str, str]], out: Output) -> None:
        """Remove notifications, each by its channel and notification_id, from the list of undelivered ones."""
        gone = [Outgoing(letter_key(notification_id, channel), None) for channel, notification_id in letters]
        if gone:
            await out.publish(UNDELIVERED, gone)

    def _after(self, pending: PendingNotification, one: FinishedAttempt, now: float) -> PendingNotification:
        if isinstance(one.outcome, Retryable) and one.outcome.after is not None:
            self._deliveries.hold(one.channel, now + one.outcome.after)
        if one.digest and isinstance(one.outcome, Retryable):  # its parts stay together
            after = after_attempt(
                pending, one.outcome, self._patience, one.begun, random.Random(f"{one.digest} {one.attempt}")
            )
        else:
            after = after_attempt(pending, one.outcome, self._patience, now, self._rng)
        if not after.outcome:
            log.warning(
                "%s through %r not sent yet, again in %.1f s: %s",
                _name(after), one.channel, after.next_at - now, after.detail, extra=_about(after),
            )  # fmt: skip
        return after

    async def _record(self, state: NotifyState, pending: PendingNotification, out: Output) -> None:
        """Publish the outcome of a notification, then let its group go on."""
        notification, channel = pending.notification, pending.channel
        if pending.withdrawn and pending.outcome == "failed":
            log.info("%s through %r: %s", _name(pending), channel, pending.withdrawn, extra=_about(pending))
        elif pending.outcome == "failed":
            log.error(
                "%s through %r given up after %d: %s", _name(pending), channel, pending.attempts, pending.detail,
                extra=_about(pending),
            )  # fmt: skip
            letter = msgspec.json.encode(undelivered_event(pending))
            await out.publish(UNDELIVERED, [Outgoing(key_of(pending), letter)])
        events = delivery_events(pending)
        if events:
            records = [Outgoing(f"{one.alert_id}/{channel}".encode(), msgspec.json.encode(one)) for one in events]
            await out.publish(DELIVERIES, records)
        del state.pending[notification.notification_id]
        group = state.groups.get(notification.group)
        if group is not None:
            delivered = pending.outcome == "delivered"
            state.groups[notification.group] = finished(
                group, channel, notification.notification_id, notification.firing, notification.resolved,
                delivered=delivered, withdrawn=bool(pending.withdrawn),
            )  # fmt: skip


def _about(pending: PendingNotification) -> dict[str, str]:
    return {"notification_id": pending.notification.notification_id, "channel": pending.channel}


def _name(pending: PendingNotification) -> str:
    return f"notification {pending.notification.notification_id} of {pending.notification.group}"
