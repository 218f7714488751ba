"""The batch transport: Faust, with a run of records where it has a single message.

Everything of Faust stays (groups, assignor, tables, changelogs, commits); only the unit changes. One message
carries a run of consecutive records of one partition; its offset is the last record's. A message with an empty run
is a tick: it lets an agent act, table writes included, when nothing arrives.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import faust
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from app.faust_batches.batch import Batch, Log, Position, tick
from app.faust_batches.changelog_producer import ChangelogProducer
from app.faust_batches.commit_ledger import CommitLedger
from app.faust_batches.consumer_thread import ConsumerThread, ReadOffsets
from app.faust_batches.reading_order import ReadingOrder
from app.kafka.errors import WasCancelled
from app.kafka.parsed_fetch import Fetched
from app.processes.crash import is_stopping
from topics.registry import Topic

log = logging.getLogger(__name__)

_SEEK_PAUSE = 0.1
_FULL_PAUSE = 0.02
"""Seconds that others are waited for while an agent has no room: it will have some before it has nothing to do."""
_NONE = -1


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Yields runs of records, ticks in between, and commits by runs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ledgers: defaultdict[TP, CommitLedger] = defaultdict(CommitLedger)
        self._read_offset = ReadOffsets(self.transport.positions)
        self._ticked_at = 0.0
        self._wanted: dict[TP, int] = {}
        self._sought: dict[TP, int] = {}
        self._fetched: dict[TP, int] = {}
        """The first offset after what was fetched last of each partition, be it handed to an agent or not."""
        self._base: dict[TP, int] = {}
        """Where each partition was sought to; until then its position says nothing of what was read."""
        self._complete = _NONE
        self.recovered = _NONE
        """The generation whose tables are complete, all of them, and whose flow is resumed."""
        self._ready: tuple[int, frozenset[int]] = _NONE, frozenset()
        """A generation and the partitions whose tables are complete in it and whose flow is resumed. Of no others is
        anything handed to an agent, nor any tick.

        Faust lets an agent go on before recovery has begun, and while it goes on: what it then takes from its table
        is not all of its state.
        """
        self.kept: frozenset[int] = frozenset()
        """The partitions that have stayed with the last assignment, their state complete."""
        self._joining = False
        """Between a revocation and the assignment that follows it."""
        self._whole: tuple[int, frozenset[int]] = _NONE, frozenset()
        """A generation, and the partitions of it whose state is complete."""
        self.held: dict[TP, int] = {}
        """The next offset to apply, of each partition that comes in runs and is ours."""
        self.logs: dict[TP, Log] = {}
        self.draining = False
        """Nothing more is handed to the agents but ticks, so that they can save what they have."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def highwater(self, tp: TP) -> int | None:
        """Where a partition's log ends, as far as was seen; None of one that is not ours any more."""
        try:
            found: int | None = super().highwater(tp)
        except AssertionError:  # aiokafka's: partitions change hands in its thread, at any moment
            return None
        return found

    def end(self, tp: TP) -> int | None:
        """Where what can be read of a partition ends, as far as was seen; None of one that is not ours any more.

        That is before `highwater` while a transaction is open.
        """
        try:
            found: int | None = self._thread.end(tp)
        except AssertionError:  # as above
            return None
        return found

    def log_of(self, tp: TP) -> Log | None:
        """A partition's log, its end as far as was seen by now; None of one that is not ours."""
        known = self.logs.get(tp)
        return None if known is None else replace(known, end=max(known.end, self.end(tp) or 0))

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Fetch records and yield them as runs."""
        transport: BatchTransport = self.transport
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        if not await self._seek_wanted():
            return
        records, active = await self._wait_next_records(min(timeout, transport.tick_seconds))
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if self.draining:
            for tp in self._due_ticks():
                yield tp, tick(transport.topics[tp.topic], tp, 0, 0, generation)
            return
        begins = {tp: self._since(tp, fetched) for tp, fetched in records.items() if isinstance(fetched, Fetched)}
        if not self.flow_active:
            return  # what was fetched is read again: flow resumes with a seek
        for tp, fetched in records.items():
            if not self._is_wanted(tp, active, generation):
                continue
            run = fetched
            transport.order.handed(tp, run[0].timestamp, run[-1].timestamp)
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp) or 0)
            step = transport.max_batch_records if tp.topic in transport.positions else 1
            for i in range(0, len(run), step):
                if not self.flow_active or self.app.consumer_generation_id != generation or self.draining:
                    return
                begin = run[i - 1].offset + 1 if i else begins.get(tp, 0)
                following = run[i + step - 1].offset + 1 if i + step < len(run) else self._fetched.get(tp, 0)
                yield tp, self._message_of(tp, run[i : i + step], begin, following, generation)
        for tp in self._due_ticks():
            since = self._fetched.get(tp, self._base.get(tp))
            following = 0 if since is None or tp in self._wanted else self._thread.reached(tp) or 0
            yield tp, tick(transport.topics[tp.topic], tp, since or 0, following, generation)

    async def _drain_messages(self, fetcher: Any) -> None:
        """Faust's loop over what is fetched. Its cancellation ends the loop without a word. Raises WasCancelled."""
        try:
            await super()._drain_messages(fetcher)
        except asyncio.CancelledError:
            if fetcher.should_stop or self.should_stop or self.app.rebalancing or is_stopping():
                raise
            raise WasCancelled from None

    def _since(self, tp: TP, fetched: Fetched) -> int:
        """The first offset of a partition that was asked for, of what was fetched now."""
        self._fetched[tp] = fetched.following
        sought = self._sought.pop(tp, None)
        if sought is None or fetched.since <= sought:
            return fetched.since
        self.log.warning("%r: offsets %d to %d are no longer in the log", tp, sought, fetched.since - 1)
        return sought

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        order: ReadingOrder = self.transport.order
        wanted = order.without_those_ahead(active_partitions or (), self._buffered_partitions, self._has_more)
        if self._buffered_partitions:
            timeout = min(timeout, _FULL_PAUSE)
        if not wanted:  # to aiokafka no partition at all would be every one
            await asyncio.sleep(timeout)
            return {}
        began = time.monotonic()
        records = await super()._getmany(wanted, timeout)
        order.fetched(wanted, records or (), time.monotonic() - began)
        return records

    def _has_more(self, tp: TP) -> bool:
        following = max(self._thread.reached(tp) or 0, self.held.get(tp, 0))
        known = self.log_of(tp)
        return known is not None and following < known.end

    def _is_wanted(self, tp: TP, active: set[TP] | None, generation: int) -> bool:
        if tp.topic in self.transport.positions and not self._is_ready(tp, generation):
            return False
        return active is None or tp in active or tp in self._buffered_partitions

    async def _seek_wanted(self) -> bool:
        """Seek to what was asked for: here, where no fetch is under way that could come in between."""
        assigned, generation = self.assignment(), self.app.consumer_generation_id
        wanted = {tp: offset for tp, offset in self._wanted.items() if tp in assigned}
        self._wanted.clear()
        if not wanted:
            return True
        try:
            await self.seek_wait(wanted)
        except (IllegalStateError, TimeoutError) as error:  # a rebalance, or no broker: asked for again
            self.log.warning("cannot seek now: %r", error)
            self._wanted = {**wanted, **self._wanted}
            await asyncio.sleep(_SEEK_PAUSE)
            return False
        if self.app.consumer_generation_id != generation:
            return False
        self._sought.update(wanted)
        self._base.update(wanted)
        for tp in wanted:
            self._fetched.pop(tp, None)
        return True

    def _message_of(self, tp: TP, run: list[Any], since: int, following: int, generation: int) -> ConsumerMessage:
        if tp.topic not in self.transport.positions:
            return self._to_message(tp, run[0])
        last, topic = run[-1], self.transport.topics[tp.topic]
        self.ledgers[tp].delivered(last.offset)
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000.0, last.timestamp_type,
            [], None, Batch(topic, tp.partition, run, since, following), None, 0, 0, tp, generation_id=generation,
        )  # fmt: skip

    def _due_ticks(self) -> list[TP]:
        now, generation = time.monotonic(), self.app.consumer_generation_id
        if now - self._ticked_at < self.transport.tick_seconds or self._ready[0] != generation:
            return []
        self._ticked_at = now
        positions, paused = self.transport.positions, self._paused_partitions
        active = self._get_active_partitions()
        return [tp for tp in active if tp.topic in positions and tp not in paused and self._is_ready(tp, generation)]

    def _is_ready(self, tp: TP, generation: int) -> bool:
        return generation == self._ready[0] and tp.partition in self._ready[1]

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Take an assignment: what was complete in the generation before this one stays, and goes on at once.

        Generations are numbered one by one, so nobody else can have had it in between. All else is recovered.
        """
        self._joining = False
        positions = self.transport.positions
        now = {tp.partition for tp in assigned if tp.topic in positions}
        generation, before = self._whole
        self.kept = before & now if generation_id == generation + 1 else frozenset()
        self._whole = generation_id, self.kept
        if self.kept or before:
            come, gone = sorted(now - self.kept), sorted(before - now)
            words = "generation %d: partitions %s stay; %s come and are recovered; %s go"
            log.info(words, generation_id, sorted(self.kept), come, gone)
        self.transport.on_kept(self.kept)
        await super().on_partitions_assigned(assigned, generation_id)

    def on_buffer_full(self, tp: TP) -> None:
        """Read a partition no further until its agent has room: during a recovery, too, where Faust does not."""
        if tp.topic not in self.transport.positions:
            super().on_buffer_full(tp)
            return
        self._get_active_partitions().discard(tp)
        self._buffered_partitions.add(tp)

    async def perform_seek(self) -> None:
        """Seek to what the recovered state has applied.

        Stock Faust seeks to committed offsets only: a partition that has none keeps the position it had
        fetched to, and what was prefetched and dropped in a rebalance is lost. Here commits serve lag monitors.
        """
        generation = self.app.consumer_generation_id
        self._forget_reading()
        await super().perform_seek()
        self.ledgers.clear()
        self.transport.order.forget()
        self.transport.on_kept(self.kept)
        positions = self.transport.positions
        batched = [tp for tp in self.assignment() if tp.topic in positions]
        self._wanted = {tp: positions[tp.topic](tp) for tp in batched if self._is_ready(tp, generation)}
        begins, ends = await self.earliest_offsets(*batched), await self.highwaters(*batched)
        self.logs = {
            tp: Log(begins.get(tp) or 0, ends.get(tp) or 0, self._committed_offset.get(tp) or 0) for tp in batched
        }
        for tp in batched:
            await self.transport.prepare(tp)
        wanted = {tp: positions[tp.topic](tp) for tp in batched}
        await self.transport.verify({tp: max(at, self._committed_offset.get(tp) or 0) for tp, at in wanted.items()})
        self._forget_reading()  # what was fetched meanwhile was fetched from the committed offsets
        self._wanted = wanted
        self.held = dict(self._wanted)
        self._complete = generation

    def _forget_reading(self) -> None:
        self._fetched.clear()
        self._sought.clear()
        self._base.clear()

    def resume_flow(self) -> None:
        """Let runs flow, once the tables are complete; every partition is read then.

        Faust empties the agents' buffers right before. A partition that it reads no further because a buffer was full
        would wait for ever: the agent, which sleeps on the empty buffer, never says that there is room again.
        """
        super().resume_flow()
        generation, assigned = self.app.consumer_generation_id, self.assignment()
        if self._complete != generation:
            self._resume_kept(generation, assigned)
            return
        self._active_partitions |= self._buffered_partitions & assigned - self._paused_partitions
        self._buffered_partitions.clear()
        self.recovered = self._complete
        whole = frozenset(tp.partition for tp in assigned if tp.topic in self.transport.positions)
        self._whole = self._ready = generation, whole

    def _resume_kept(self, generation: int, assigned: set[TP]) -> None:
        """Let what has stayed go on while the rest is recovered: from what its agents have applied."""
        positions = self.transport.positions
        kept = {tp for tp in assigned if tp.topic in positions and tp.partition in self.kept}
        if not kept or self._whole[0] != generation or self._ready[0] == generation:
            return
        self._forget_reading()
        self._buffered_partitions -= kept
        self._wanted = {tp: positions[tp.topic](tp) for tp in kept}
        self.held |= self._wanted
        self._ready = generation, self.kept
        self.resume_partitions(kept)

    def follows(self, message: ConsumerMessage) -> bool:
        """Whether a run, or tick, follows what its agent's state has applied; if not, it is to be skipped.

        What is missing is asked for again, and with it comes what was skipped. Faust drops what it has fetched in
        more than one place (a rebalance, a recovery, a suspended flow); none of them can be seen from here, the
        hole that it leaves can. A tick shows it at the end of a log, where no later run would.
        """
        if not self._is_ready(message.tp, message.generation_id):
            return False  # fetched before a rebalance: whoever has the partition now reads it again
        tp, batch = message.tp, message.value
        applied = max(self.transport.positions[tp.topic](tp), self.held.get(tp, 0))
        if batch.since <= applied:
            return True
        if tp not in self._wanted:
            self.log.warning("%r: offsets from %d were skipped, and are asked for again", tp, applied)
            self._wanted[tp] = applied
        return False

    def done(self, message: ConsumerMessage) -> None:
        """Note that a run was handled, so that it may be committed.

        Faust's own note of it, made by its compiled stream, asks nobody and keeps none of what is read a second time.
        """
        records, held = message.value.records, self.held.get(message.tp, 0)
        if self.ledgers[message.tp].acked(message.offset) if records else held:
            self._acked[message.tp]  # names the partition as one with something to commit

    def applied(self, tp: TP, following: int) -> None:
        """Note that an agent has applied all of a partition below an offset."""
        if tp in self.held:
            self.held[tp] = max(following, self.held[tp])

    @property
    def unfinished(self) -> int:
        """Runs that are with the agents."""
        return sum(ledger.unfinished for ledger in self.ledgers.values())

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Runs carry their own ends: offsets between them need no tracking."""

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.transport.positions:
            found: int | None = super()._new_offset(tp)
            return found
        self._acked[tp].clear()  # Faust's own note, which is asked nothing and would grow for ever
        self._acked_index[tp].clear()
        ledger = self.ledgers[tp]
        found = ledger.committable()
        if ledger.unfinished:
            return found
        held = self.held.get(tp, 0)  # behind a transaction's marker, too, which no run ends with
        return held if held > max(found or 0, self._committed_offset.get(tp) or 0) else found

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit, but not while a new generation is joined.

        A commit of the generation before makes aiokafka leave the group and join anew: that is another rebalance.
        """
        if self._joining:
            return False
        done: bool = await super()._commit(offsets)
        return done

    async def commit_applied(self) -> None:
        """Commit all that was applied, once nothing is with the agents any more and all of it is saved."""
        await self.commit()  # one that is under way, with less
        assigned = self.assignment()
        offsets = {tp: offset for tp, offset in self.held.items() if offset and tp in assigned}
        if offsets:
            await self._commit(offsets)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Hand nothing more to the agents; forget the runs of partitions that are no longer ours."""
        await self.transport.before_revoked()
        self._complete = self.recovered = _NONE
        self._ready = _NONE, frozenset()
        for tp in revoked:
            self.ledgers.pop(tp, None)
        self.held = {tp: offset for tp, offset in self.held.items() if tp not in revoked}
        await super().on_partitions_revoked(revoked)
        self._joining = True


class BatchTransport(driver.Transport):  # type: ignore[misc]
    """The transport of an app: which topics come in runs, and where each of their partitions is read from.

    `on_kept` is called with the partitions that have stayed, when others have come and when their tables are complete:
    what was made of those others before is to be made again. `prepare` is awaited with each partition before its
    position is asked for: what that takes long for is done there, and others run meanwhile.
    `before_revoked` is awaited while partitions that are to be given up still get their ticks: the whole group waits.
    `verify` is awaited with what was read of each partition, before it is read on; what it raises ends the process.
    `on_refused` is called when Kafka does not take what is written to a table, and is to end the process.
    """

    Consumer = BatchConsumer
    Producer = ChangelogProducer
    on_kept: Callable[[frozenset[int]], None]
    prepare: Callable[[TP], Awaitable[None]]
    before_revoked: Callable[[], Awaitable[None]]
    on_refused: Callable[[], None]
    verify: Callable[[Mapping[TP, int]], Awaitable[None]]
    positions: dict[str, Position]
    topics: dict[str, Topic]
    order: ReadingOrder
    max_batch_records: int
    tick_seconds: float
    isolation_level: str

    @classmethod
    def install(
        cls,
        app: faust.App,
        *,
        max_batch_records: int,
        tick_seconds: float,
        isolation_level: str,
        on_refused: Callable[[], None],
    ) -> BatchTransport:
        """Give an app this transport, before its consumer exists."""
        transport = cls(app.conf.broker_consumer, app)
        transport.positions = {}
        transport.topics = {}
        transport.order = ReadingOrder()
        transport.on_kept = lambda kept: None
        transport.prepare = _nothing_to_prepare
        transport.before_revoked = _nothing_under_way
        transport.on_refused = on_refused
        transport.verify = _nothing_to_verify
        transport.max_batch_records = max_batch_records
        transport.tick_seconds = tick_seconds
        transport.isolation_level = isolation_level
        app.transport = transport
        return transport

    def read(self, full_name: str, topic: Topic, position: Position) -> None:
        """Read a topic in batches, each partition from its `position` on."""
        self.positions[full_name] = position
        self.topics[full_name] = topic


async def _nothing_under_way() -> None:
    """Partitions may go at once."""


async def _nothing_to_prepare(_tp: TP) -> None:
    """Every position is there at once."""


async def _nothing_to_verify(_positions: Mapping[TP, int]) -> None:
    """Every partition will do."""
