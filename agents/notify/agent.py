"""Agent that groups alerts, notifies the channels of their routes, and records each delivery.

The order of writes is the guarantee. A notification is in the table before it is sent, and before its group counts it
as sent. Its result is in the table before it is published. A crash repeats the last step, and skips none.
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec

from agents.agent import Agent
from agents.applied_offsets import advance, next_offset, unapplied
from agents.loop_slices import LoopTurn, at_once, in_slices
from agents.notify.attempts import DeliveryAttempts
from agents.notify.digests import waiting_of
from agents.notify.flapping import Flaps
from agents.notify.outcomes import DeliveryRecorder
from agents.notify.reason_log import ReasonLog
from agents.notify.routes import Models, Routes
from agents.notify.state import NotifyState
from agents.output import Output, alert_record
from app.alerting.events.external import expired, is_over
from app.alerting.notify.alert_group import AlertGroup, Muted, arrive, under_way, waits, with_channels
from app.alerting.notify.channel import Channel
from app.alerting.notify.group_evaluation import PlannedNotification, evaluate
from app.alerting.notify.muting import SAME_MODEL, Muting
from app.alerting.notify.notification_builder import build_notification, fit_size
from app.alerting.notify.outcomes import mark_redelivered
from app.alerting.notify.rerouting import apart_from, elsewhere
from app.alerting.notify.resend_firing import Keeper, known_to
from app.alerting.notify.retry_policy import PendingNotification, RetryPolicy
from app.alerting.notify.routing import Routing
from app.faust_batches.batch import Batch
from app.ingest.decoding import Rejected, decode
from app.telemetry import tracing
from topics.events import AlertEvent
from topics.registry import ALERTS, Topic

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Attempts for each channel that are under way or not yet recorded: as many may be sent again after a crash."""
LOOKED_AT_EVERY = 1.0
"""Seconds after which an unchanged group is evaluated again: silences begin and end."""
PRUNED_EVERY = 86_400.0
LARGEST = 6 << 20
"""Bytes of a notification; the topic of undelivered notifications takes 8 MiB."""

_alerts = msgspec.json.Decoder(AlertEvent)


class NotifyAgent(Agent):
    """Agent that groups alerts, and notifies the channels of their routes.

    `table` has the applied offsets, the groups, and the pending notifications; see `NotifyState`. `saved` returns once
    the changelog has what was written to the table. `muting` returns what is muted now. `redelivered` returns what a
    channel has received of a group after the notification was given up. Times are the wall clock's, taken when a batch
    or a tick comes.
    """

    name = "notify"
    inputs = (ALERTS,)

    def __init__(  # noqa: PLR0913 - what it works with, each with its default
        self,
        table: MutableMapping[str, bytes],
        models: Models,
        channels: Mapping[str, Channel],
        *,
        routing: Routing | None = None,
        muting: Callable[[], Muting] = Muting,
        redelivered: Callable[[str, str], Mapping[str, str]] = lambda group, channel: {},
        patience: RetryPolicy | None = None,
        flapping_per_hour: int = 0,
        digest_above: int = 0,
        saved: Callable[[], Awaitable[None]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
    ) -> None:
        self._table = table
        self._flaps = Flaps(flapping_per_hour)
        self._routes = Routes(routing or Routing(), models)
        self._muting = muting
        self._redelivered = redelivered
        self._now = now
        patience = patience or RetryPolicy()
        self._deliveries = DeliveryAttempts(
            channels, attempt_seconds=patience.attempt_seconds, at_once=AT_ONCE, digest_above=digest_above,
            digest_interval=(routing or Routing()).policy.interval, current=self._is_current,
        )  # fmt: skip
        self._outcomes = DeliveryRecorder(self._deliveries, patience, saved, rng or random.Random())
        self._states: dict[int, NotifyState] = {}
        self._forgotten = 0
        self._pruned: dict[int, float] = {}
        self._looked_at: dict[int, float] = {}
        self._reasons = ReasonLog()
        self._stopping = self._pausing = False
        self._keepers = {name: channel for name, channel in channels.items() if isinstance(channel, Keeper)}

    def position(self, topic: Topic, partition: int) -> int:
        """Return the offset to read a partition of `alerts` from; 0 before anything was applied."""
        return next_offset(self._table, partition) or 0

    def knows(self, alert: AlertEvent) -> bool:
        """Return whether this worker has sent, or given up, every notification about an alert."""
        taken = [state for state in self._states.values() if state.taken(alert.alert_id)]
        groups = [group for state in taken for group in state.groups_of(alert.fingerprint).values()]
        return bool(taken) and not any(state.pending for state in taken) and not any(map(waits, groups))

    def forget(self, partitions: Iterable[int] | None = None) -> None:
        """Drop the decoded state of partitions (None: all).

        The state is read again from the table when it is next needed.
        """
        self._forgotten += 1
        self._pausing = False
        gone = list(self._states) if partitions is None else list(partitions)
        for partition in gone:
            self._states.pop(partition, None)
        self._deliveries.forget(None if partitions is None else gone)

    async def prepare(self, partition: int) -> None:
        """Decode a partition's share of the table in slices, unless this is done."""
        if partition not in self._states:
            forgotten = self._forgotten
            state = await in_slices(NotifyState.read(self._table, partition))
            if self._forgotten == forgotten:
                self._states[partition] = state

    async def pause(self) -> None:
        """Begin no more attempts until `forget` is called. Return once those under way have ended and are recorded.

        So the next owner of a partition does not repeat what was sent. The ticks record the attempts.
        """
        self._pausing = True
        await self._deliveries.settle()

    async def stop(self) -> None:
        """Begin no more attempts. Return once those under way have ended and the ticks have recorded them."""
        self._stopping = True
        await self._deliveries.settle()

    async def handle(self, batch: Batch, out: Output) -> None:
        """Take a batch, or a tick: record ended attempts, take the alerts, decide, and begin due attempts."""
        partition, records, now = batch.partition, batch.records, self._now()
        tracing.remember_alerts(records)
        state = self._state(partition)
        await self._outcomes.collect(partition, state, out, now.timestamp())
        turn = LoopTurn()
        for name, group in state.groups.items():
            state.groups[name] = mark_redelivered(group, partial(self._redelivered, name))
        changed, letters = self._routes.reroute(state)
        await self._outcomes.take_back(letters, out)
        changed |= self._flaps.settle(state, now.timestamp())
        for record in unapplied(self._table, partition, records):
            await turn.give()
            alert = decode(record, _alerts)
            if isinstance(alert, Rejected):
                await out.dead_letter(batch, [alert])
            elif not state.taken(alert.alert_id):
                changed |= self._take(state, alert, now)
            else:
                state.extend(alert)
        is_due = self._is_due(partition, now.timestamp())
        await self._decide(state, self._due(partition, state, changed, now.timestamp()), now)
        if is_due:
            await self._expire(state, out, now)
        await self._outcomes.take_back_obsolete(state, out)
        new = any(pending.attempts == 0 and pending.since == now.timestamp() for pending in state.pending.values())
        state.write()
        if records:
            advance(self._table, partition, records[-1].offset + 1)
        if new:
            await self._outcomes.save()
        if not self._stopping and not self._pausing:
            waiting = waiting_of(state.groups, now.timestamp())
            self._deliveries.begin(partition, state.pending.values(), now.timestamp(), waiting)
            for name, keeper in self._keepers.items():
                keeper.keep(partition, partial(known_to, name, state.groups.values()))
        self._prune(partition, state, now.timestamp())

    def _is_current(self, partition: int, pending: PendingNotification) -> bool:
        state = self._states.get(partition)
        return state is not None and state.pending.get(pending.notification.notification_id) is pending

    def _state(self, partition: int) -> NotifyState:
        if partition not in self._states:
            self._states[partition] = at_once(NotifyState.read(self._table, partition))
        return self._states[partition]

    # Alerts

    def _take(self, state: NotifyState, alert: AlertEvent, now: datetime) -> set[str]:
        """Put a transition into the groups that have its alert, and those that it belongs to. Return their names."""
        groups = state.groups_of(alert.fingerprint)
        self._flaps.take(state, alert, now.timestamp())
        for to, mark in self._routes.destinations(alert):
            if to.group in groups or alert.status == "firing":
                group = state.groups.get(to.group) or AlertGroup(labels=to.labels, members={}, tellers={}, mark=mark)
                groups[to.group] = with_channels(group, to.channels)
        muted, owners = self._muted(state, now), elsewhere(state.groups)
        for name, group in groups.items():
            noted = self._flaps.noted(state, group, alert)
            state.groups[name] = arrive(noted, alert, muted, apart_from(name, owners))
        state.take(alert.alert_id, now.timestamp())
        return set(groups)

    async def _expire(self, state: NotifyState, out: Output, now: datetime) -> None:
        """Publish the ends of alerts that have expired. They are taken like every other alert when they are read.

        An alert that a channel has still to be notified of does not expire before that.
        """
        waiting = {name for group in state.groups.values() if waits(group) for name in group.members}
        for alert in state.firing():
            if alert.fingerprint not in waiting and is_over(alert, now):
                over = expired(alert, now)
                if not state.taken(over.alert_id):
                    await out.publish(ALERTS, [alert_record(over, out.partitions)])

    def _muted(self, state: NotifyState, now: datetime) -> Muted:
        muting, beside = self._muting(), defaultdict[tuple[str, ...], list[AlertEvent]](list)
        for one in state.firing():  # an alert is inhibited by those of its own model version alone
            beside[_version_of(one)].append(one)
        return lambda alert: muting.reason(alert, beside.get(_version_of(alert), ()), now)

    # Notifications

    def _due(self, partition: int, state: NotifyState, changed: set[str], now: float) -> list[str]:
        """Return the names of the groups to evaluate now."""
        if self._is_due(partition, now):
            self._looked_at[partition] = now
            return list(state.groups)
        return [name for name, group in state.groups.items() if name in changed or waits(group)]

    def _is_due(self, partition: int, now: float) -> bool:
        """Return whether all groups are to be evaluated again."""
        return not 0.0 <= now - self._looked_at.get(partition, -LOOKED_AT_EVERY) < LOOKED_AT_EVERY

    async def _decide(self, state: NotifyState, names: Sequence[str], now: datetime) -> None:
        muted, owners, turn = self._muted(state, now), elsewhere(state.groups), LoopTurn()
        for name in names:
            await turn.give()
            apart = apart_from(name, owners)
            group, tellings, reasons = evaluate(state.groups[name], muted, now.timestamp(), apart)
            self._reasons.tell(name, reasons)
            for telling in tellings:
                pending = self._pending(name, group, telling, now)
                state.pending[pending.notification.notification_id] = pending
                group = under_way(group, telling.channel, pending.notification.notification_id)
            state.groups[name] = group

    def _pending(
        self, name: str, group: AlertGroup, telling: PlannedNotification, now: datetime
    ) -> PendingNotification:
        notification = fit_size(build_notification(name, group.labels, telling, now), LARGEST)
        at = now.timestamp()
        return PendingNotification(notification=notification, channel=telling.channel, since=at, next_at=at)

    def _prune(self, partition: int, state: NotifyState, now: float) -> None:
        if now - self._pruned.get(partition, -PRUNED_EVERY) >= PRUNED_EVERY:
            self._pruned[partition] = now
            state.prune(now)
            known = {
                (name, channel)
                for one in self._states.values()
                for name, g in one.groups.items()
                for channel in g.tellers
            }
            self._reasons.keep(known)


def _version_of(alert: AlertEvent) -> tuple[str, ...]:
    return tuple(alert.labels.get(name, "") for name in SAME_MODEL)
