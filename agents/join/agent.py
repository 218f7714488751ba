"""Agent that joins predictions with feedback and counts each source partition into panes."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping, Sequence
from functools import partial

from agents.agent import Agent
from agents.applied_offsets import records_from
from agents.join.halt_alerts import HaltAlerts
from agents.join.halts import Halts, TooManyDeadLetters
from agents.join.intake import BatchIntake, BatchLeftovers
from agents.join.model_index import ModelIndex, ModelLookup
from agents.join.not_counted import IntakeMonitor, taken_of
from agents.join.pane_events import of_the_prefix_before, pane_record, partials_of
from agents.join.partition import EPOCHS_SINCE, JoinPartition, rebuilt_at, recover
from agents.join.store import JoinStore, Offsets
from agents.loop_slices import in_thread
from agents.output import Output
from app.core.join import delta, expiry
from app.core.join.default_truths import give_default_truths
from app.faust_batches.batch import Batch, Log
from app.ingest.dead_letter_limit import DeadLetterLimit
from app.ingest.decoding import Record, keys_of
from app.ingest.rekeying import REKEYED
from app.kafka.errors import WorkerHalted
from app.kafka.producer import Outgoing
from topics.events import PaneEvent
from topics.registry import FEEDBACK, PANES, PREDICTIONS, Topic

log = logging.getLogger(__name__)

SOURCES = (PREDICTIONS, FEEDBACK)
"""Joined topics. A topic's number is its position."""

CREATE_TIME = 0
"""Value of a record's `timestamp_type` where the producer has set the time."""

MOST_UNSAVED = 20_000
"""Records after which a checkpoint is made before its time."""

ROWS_OF_A_VERSION = 100
"""Records of each model version that are wanted in a batch: each version in a batch has a cost of its own."""

FEEDBACK_QUIET_SECONDS = 30.0
"""Seconds without feedback after which feedback read to its end counts as caught up: a replay sends in bursts."""

Rekey = Callable[[Topic, int, Sequence[Record]], Awaitable[None]]
"""Function that sends records of another partition. It returns once Kafka has acknowledged them."""


async def _nowhere(topic: Topic, partition: int, records: Sequence[Record]) -> None:
    """Send nothing: the default where the number of partitions is unknown."""


def _taken(source: JoinPartition, offsets: tuple[int, int]) -> delta.Checkpoint:
    """Return what the state took in since the last checkpoint, with default truths for the silence until then."""
    give_default_truths(source.state)
    return delta.take(source.state, source.chain.ordinal, source.chain.saved, offsets)


class JoinAgent(Agent):
    """Agent that joins predictions and feedback, and counts them into panes. `table` is that of a `JoinStore`."""

    name = "join"
    inputs = SOURCES

    def __init__(  # noqa: PLR0913 (what it needs of the world around it)
        self,
        table: MutableMapping[str, bytes],
        models: ModelLookup,
        *,
        checkpoint_seconds: float,
        now: Callable[[], float] = time.monotonic,
        epoch: Callable[[], int] = lambda: int(time.time()) - EPOCHS_SINCE,
        alive: Callable[[], None] = lambda: None,
        log_of: Callable[[Topic, int], Log | None] = lambda topic, partition: None,
        limit: Callable[[Sequence[int]], DeadLetterLimit] | None = None,
        partitions: int = 0,
        rekey: Rekey = _nowhere,
        intake: IntakeMonitor | None = None,
        wall: Callable[[], float] = time.time,
        successor: Output | None = None,
        halt_alerts: HaltAlerts | None = None,
        published: Callable[[Sequence[PaneEvent]], None] = lambda events: None,
        learns: Callable[[str, str], bool] = lambda model, version: False,
    ) -> None:
        """Create the agent.

        `limit` makes a partition's limit on dead letters from the known offsets; None: nothing stops.

        `rekey` sends records to the partition of their key, of `partitions`; 0: no record is checked. `intake` notes
        and reports what is not counted. `halt_alerts` are the alerts about halted partitions. `published` is called
        with panes and progress that Kafka has acknowledged. `learns`: whether a model version learns its reference;
        its predictions are left out, and are no dead letters.

        `successor` drains: another prefix takes the place of this one. The successor gets every pane of this prefix,
        and the feedback that matches no prediction here.

        `alive` is called throughout a recovery, which may take long and does not respond to anything else. `log_of`
        returns a partition's current log of predictions or feedback; without it, feedback is never waited for.
        """
        self._store = JoinStore(table)
        self._models = ModelIndex(models)
        self._epoch = epoch
        self._checkpoint_seconds = checkpoint_seconds
        self._now = now
        self._taking = BatchIntake(self._models, now, partitions, learns)
        self._rekey = rekey
        self._sources: dict[int, JoinPartition] = {}
        self._forgotten = 0
        self._stops = Halts(self._store)
        self._newest_epoch = 0
        self._alive = alive
        self._limit = limit or (lambda recent: DeadLetterLimit(1.0, 1, recent))
        self._stopping = limit is not None
        self._intake = intake
        self._wall = wall
        self._log_of = log_of
        self._successor = successor
        self._partitions = partitions
        self._halt_alerts = halt_alerts
        self._published = published
        self._by_producers: set[tuple[str, int]] = set()

    # Recovery

    def forget(self, partitions: Iterable[int] | None = None) -> None:
        """Drop the state of partitions (None: all). The state is built again from the table when it is next needed."""
        self._forgotten += 1
        gone = None if partitions is None else list(partitions)
        for partition in list(self._sources) if gone is None else gone:
            self._sources.pop(partition, None)
            self._stops.forget(partition)
        if self._intake is not None:
            self._intake.forget(gone)

    def position(self, topic: Topic, partition: int) -> int:
        """Return the offset to read predictions or feedback from, by the recovered state."""
        return self._source(partition).offsets[SOURCES.index(topic)]

    def _source(self, partition: int) -> JoinPartition:
        source = self._sources.get(partition)
        if source is None:
            source = self._sources[partition] = self._recover(partition, self._store.rows())
        return source

    async def prepare(self, partition: int) -> None:
        """Recover a partition in a thread, unless this worker has it already. Then `position` returns at once."""
        if partition not in self._sources:
            forgotten, rows = self._forgotten, self._store.rows()
            source = await in_thread(partial(self._recover, partition, rows))
            if self._forgotten == forgotten:
                self._sources[partition] = source

    def _recover(self, partition: int, rows: Iterable[tuple[str, bytes]]) -> JoinPartition:
        source = recover(
            self._store, partition, self._alive_over(rows), self._models.watched, self._models.number_of,
            settled=self._successor is None,
        )  # fmt: skip
        source.state.stacked = self._models.stacked
        logs = [log_ for topic in SOURCES if (log_ := self._log_of(topic, partition)) is not None]
        if len(logs) == len(SOURCES):
            source.rebuilt_at = rebuilt_at(partition, source, logs, self._store.rebuilding(partition))
        if self._successor is not None and source.rebuilt_at is None:
            source.rebuilt_at = (source.offsets[0], source.offsets[1])  # all panes are published: the next has none
        self._stops.recover(partition, range(len(SOURCES)))
        source.progress.fed_at = self._now()
        chain = source.chain
        chain.unreadable = self._store.unreadable(partition)
        source.limits = [
            self._limit([offset for offset in recent if offset < read])
            for recent, read in zip(chain.unreadable, source.offsets, strict=True)
        ]
        chain.epoch = self._newest_epoch = max(self._epoch(), chain.epoch + 1, self._newest_epoch + 1)
        log.info(
            "partition %d: %d pending predictions recovered, reading on from %s",
            partition, len(source.state.rows), source.offsets,
        )  # fmt: skip
        return source

    def _alive_over(self, rows: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        for row in rows:
            self._alive()
            yield row

    # Draining

    def drain(self) -> None:
        """Save everything taken with every batch and every tick from now on."""
        self._checkpoint_seconds = 0.0

    @property
    def saved(self) -> bool:
        """Return whether everything taken is saved."""
        return all(source.unsaved == 0 for source in self._sources.values())

    @property
    def waiting(self) -> int:
        """Return the number of feedback records without a prediction, over all assigned partitions."""
        return sum(len(source.state.waiting) for source in self._sources.values())

    @property
    def pending(self) -> int:
        """Return the number of predictions that wait for their truth."""
        return sum(len(source.state.rows) for source in self._sources.values())

    # Batches

    @property
    def most_together(self) -> int:
        """Return the number of records up to which batches that wait are taken as one: more for more versions."""
        return min(MOST_UNSAVED, ROWS_OF_A_VERSION * len(self._models.watched))

    async def handle(self, batch: Batch, out: Output) -> None:
        """Take a batch of predictions or feedback, save and publish what is due, and report what was set aside."""
        source = self._source(batch.partition)
        await self._take(source, batch, out)
        due = self._now() - source.saved_at >= self._checkpoint_seconds
        if due or source.unsaved >= MOST_UNSAVED:
            await self._checkpoint(batch.partition, source, out)
        await self._go_on(batch.partition, source, out)
        if self._intake is not None:
            await self._intake.report(batch.partition, SOURCES.index(batch.topic), source.state.waiting, out)

    async def _take(self, source: JoinPartition, batch: Batch, out: Output) -> None:
        """Count the new records of a batch. Set aside or send on the records that are not counted here."""
        partition, topic = batch.partition, SOURCES.index(batch.topic)
        source.progress.caught_up[topic] = batch.caught_up
        fresh = records_from(source.offsets[topic], batch.records)
        if fresh:
            self._check_clock(batch, fresh[-1])
            take = self._taking.predictions if batch.topic is PREDICTIONS else self._taking.feedback
            source.state.came.clear()
            taken = await take(source, partition, fresh)
            rejected = taken.rejected
            stopping = rejected and self._stopping
            crossed = source.limits[topic].crossed(rejected, fresh[-1].offset + 1) if stopping else None
            if crossed is not None:
                self._stops.note(partition, topic, crossed.record.offset, crossed.record.timestamp)
                raise TooManyDeadLetters(batch.topic, partition, crossed)
            if taken.away:
                await self._rekey(batch.topic, partition, taken.away)
            source.offsets[topic] = fresh[-1].offset + 1
            source.progress.note_read(topic, fresh[-1].timestamp)
            if rejected:
                await out.dead_letter(batch, rejected)
            if batch.topic is FEEDBACK and self._successor is not None:
                await self._send_on(source, fresh, taken, self._successor)
            away = {record.offset for record in taken.away}  # they are noted where they are sent
            here = [record for record in fresh if record.offset not in away] if away else fresh
            if self._intake is not None and here:
                taken_here = taken_of(source.state)
                self._intake.note(partition, topic, here, rejected, taken_here, source.state.waiting)
        source.offsets[topic] = max(source.offsets[topic], batch.following)

    async def _send_on(
        self, source: JoinPartition, fresh: Sequence[Record], taken: BatchLeftovers, successor: Output
    ) -> None:
        """Send on the feedback that has no prediction here. Forget it once no more predictions come here."""
        gone = {record.offset for record in (*taken.away, *(one.record for one in taken.rejected))}
        unknown = [
            (record, key)
            for record, key in zip(fresh, keys_of([record.key or b"" for record in fresh]), strict=True)
            if key in source.state.waiting and record.offset not in gone
        ]
        if not unknown:
            return
        await successor.publish(FEEDBACK, [_passed_on(record) for record, _ in unknown])
        if source.progress.is_silent(source.state, self._now()):
            for _, key in unknown:
                source.state.waiting.pop(key, None)
                source.state.waiting_since[key] = None

    # Halts

    async def halted(self, error: WorkerHalted, out: Output) -> None:
        """Send the alert that a partition is halted."""
        if isinstance(error, TooManyDeadLetters) and self._halt_alerts is not None:
            await self._halt_alerts.fire(error, self._successor or out)

    async def _go_on(self, partition: int, source: JoinPartition, out: Output) -> None:
        """Resolve the alerts of halts that the saved offsets of the partition have passed."""
        for stop in list(self._stops.passed(partition, source.chain.saved)):
            if stop.last and self._halt_alerts is not None:
                await self._halt_alerts.resolve(SOURCES[stop.topic], stop, self._successor or out)
            self._stops.release(stop)

    def _check_clock(self, batch: Batch, record: Record) -> None:
        """Log once for each partition that its records have their producers' times, which nothing bounds."""
        place = batch.topic.name, batch.partition
        if getattr(record, "timestamp_type", None) != CREATE_TIME or place in self._by_producers:
            return
        self._by_producers.add(place)
        log.warning(
            "%s partition %d offset %d: the record has its producer's time, not the broker's (CreateTime): a clock "
            "that is ahead moves everybody's event time; check that the topic has message.timestamp.type=LogAppendTime",
            *place, record.offset,
        )  # fmt: skip

    # Checkpoints

    async def _checkpoint(self, partition: int, source: JoinPartition, out: Output) -> None:
        """Publish the changes, then save the delta. A crash in between publishes the same totals again."""
        source.saved_at = self._now()
        offsets = (source.offsets[0], source.offsets[1])
        if offsets == source.chain.saved:
            await self._publish_progress(partition, source, out)
            return
        await self._save(partition, source, offsets, out)
        caught_up = source.progress.caught_up[1] and self._now() - source.progress.fed_at >= FEEDBACK_QUIET_SECONDS
        clock = source.progress.clock(self._wall())
        await in_thread(partial(expiry.sweep, source.state, feedback_caught_up=caught_up, clock=clock))
        if source.rebuilt_at is None:  # a partition that is built again is published as a whole first
            expiry.settle(source.state)

    async def _save(self, partition: int, source: JoinPartition, offsets: Offsets, out: Output) -> None:
        """Collect spent deltas, take the new delta, publish, save: in this order."""
        revision = source.revision()
        spent = source.chain.collect_spent(source.state)
        taken = await in_thread(partial(_taken, source, offsets))
        source.chain.announce()
        if source.rebuilt_at:
            self._store.set_rebuilding(partition, source.rebuilt_at)
        else:
            events = partials_of(self._models.watched, taken.inputs, taken.outcomes, partition, revision)
            await self._publish_progress(partition, source, out, events)
        source.chain.append(taken.delta, source.state.rows.next_ordinal, source.unreadable(), spent)
        if source.rebuilt_at:
            await self._publish_progress(partition, source, out)

    async def _publish_progress(
        self, partition: int, source: JoinPartition, out: Output, panes: Sequence[PaneEvent] = ()
    ) -> None:
        """Publish panes and the changes of the progress.

        Of a partition that is built again nothing is published until it has caught up, then everything.
        """
        revision = source.revision()
        if source.rebuilt_at is not None:
            if any(at < wanted for at, wanted in zip(source.offsets, source.rebuilt_at, strict=True)):
                return
            inputs, outcomes = delta.totals_of(source.state)
            panes = partials_of(self._models.watched, inputs, outcomes, partition, revision)
        fed = self._log_of(FEEDBACK, partition)
        at_end = fed is None or source.offsets[1] >= fed.end
        news = source.progress.news(
            partition, source.state, revision, self._now(), fed_to_end=at_end, is_registered=self._models.has
        )
        await self._publish([*panes, *news], out)
        if source.rebuilt_at is not None:
            source.rebuilt_at = None
            self._store.end_rebuilding(partition)

    async def _publish(self, events: Sequence[PaneEvent], out: Output) -> None:
        """Send panes and progress, in order."""
        if not events:
            return
        to, sent = out, events
        if self._successor is not None:
            to, sent = self._successor, [of_the_prefix_before(event, self._partitions) for event in events]
        await to.publish(PANES, [pane_record(event, to.partitions) for event in sent])
        self._published(events)


def _passed_on(record: Record) -> Outgoing:
    """Return feedback as it is sent to the prefix with its prediction, without the mark that it was re-keyed."""
    return Outgoing(record.key, record.value, None, [one for one in record.headers if one[0] != REKEYED])
