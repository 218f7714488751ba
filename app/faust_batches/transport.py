"""Batch transport: replaces Faust's single messages by batches of records.

Groups, assignor, tables, changelogs and commits of Faust are unchanged. One message carries a batch of consecutive
records of one partition; its offset is the last record's. A message with an empty batch is a tick. A tick lets an agent
act, table writes included, when nothing arrives.
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
"""Seconds that other partitions are waited for while an agent has no room. It gets room before it has nothing to do."""
_NONE = -1


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Consumer that yields batches of records, with ticks in between, and commits by batches."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ledgers: defaultdict[TP, CommitLedger] = defaultdict(CommitLedger)
        self._read_offset = ReadOffsets(self.transport.positions)
        self._ticked_at = 0.0
        self._wanted: dict[TP, int] = {}
        self._sought: dict[TP, int] = {}
        self._fetched: dict[TP, int] = {}
        """The first offset after the last fetch of each partition, even if no agent has got the records."""
        self._base: dict[TP, int] = {}
        """The offset that each partition was sought to; before the seek, its position does not show what was read."""
        self._complete = _NONE
        self.recovered = _NONE
        """The generation whose tables are all complete, and whose flow is resumed."""
        self._ready: tuple[int, frozenset[int]] = _NONE, frozenset()
        """A generation, and its partitions whose tables are complete and whose flow is resumed.

        Records and ticks of other partitions are not given to an agent. Faust lets an agent go on before and during
        recovery. What the agent then takes from its table is not all of its state.
        """
        self.kept: frozenset[int] = frozenset()
        """The partitions that have stayed with the last assignment, their state complete."""
        self._joining = False
        """True between a revocation and the assignment that follows."""
        self._whole: tuple[int, frozenset[int]] = _NONE, frozenset()
        """A generation, and its partitions whose state is complete."""
        self.held: dict[TP, int] = {}
        """The next offset to apply, of each assigned partition of a batched topic."""
        self.logs: dict[TP, Log] = {}
        self.draining = False
        """True while the agents get only ticks, so that they can save what they have."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def highwater(self, tp: TP) -> int | None:
        """Return the end of a partition's log, as far as was seen; None for a partition that is no longer assigned."""
        try:
            found: int | None = super().highwater(tp)
        except AssertionError:  # aiokafka's: partitions change hands in its thread, at any moment
            return None
        return found

    def end(self, tp: TP) -> int | None:
        """Return the end of the readable log of a partition, as far as was seen; None if no longer assigned.

        While a transaction is open, this end is before `highwater`.
        """
        try:
            found: int | None = self._thread.end(tp)
        except AssertionError:  # as above
            return None
        return found

    def log_of(self, tp: TP) -> Log | None:
        """Return a partition's log, with its end as far as was seen; None for a partition that is not assigned."""
        known = self.logs.get(tp)
        return None if known is None else replace(known, end=max(known.end, self.end(tp) or 0))

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Fetch records and yield them as batches."""
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
            return  # the fetched records are read again: flow resumes with a seek
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
        """Run Faust's loop over the fetched records. Raises WasCancelled where it would be cancelled silently."""
        try:
            await super()._drain_messages(fetcher)
        except asyncio.CancelledError:
            if fetcher.should_stop or self.should_stop or self.app.rebalancing or is_stopping():
                raise
            raise WasCancelled from None

    def _since(self, tp: TP, fetched: Fetched) -> int:
        """Return the first requested offset of a partition, for the records fetched now."""
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
        """Seek to the wanted offsets: here, because no fetch is under way that could come in between."""
        assigned, generation = self.assignment(), self.app.consumer_generation_id
        wanted = {tp: offset for tp, offset in self._wanted.items() if tp in assigned}
        self._wanted.clear()
        if not wanted:
            return True
        try:
            await self.seek_wait(wanted)
        except (IllegalStateError, TimeoutError) as error:  # a rebalance, or no broker: requested again
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
        if tp.topic in self.transport.stateless:
            return generation == self.recovered
        return generation == self._ready[0] and tp.partition in self._ready[1]

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Take an assignment. Partitions that were complete in the generation before stay, and go on at once.

        Generations are numbered one by one, so no other worker can have had these partitions in between. All other
        partitions are recovered.
        """
        self._joining = False
        positions = self.transport.positions
        now = {tp.partition for tp in assigned if tp.topic in positions and tp.topic not in self.transport.stateless}
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
        """Pause a partition until its agent has room: during a recovery, too, where Faust does not."""
        if tp.topic not in self.transport.positions:
            super().on_buffer_full(tp)
            return
        self._get_active_partitions().discard(tp)
        self._buffered_partitions.add(tp)

    async def perform_seek(self) -> None:
        """Seek to the applied offsets of the recovered state.

        Stock Faust seeks to committed offsets only. A partition without one keeps the position it had fetched to, and
        records that were prefetched and dropped in a rebalance are lost. Here commits serve lag monitors.
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
        self._forget_reading()  # the records fetched meanwhile were fetched from the committed offsets
        self._wanted = wanted
        self.held = dict(self._wanted)
        self._complete = generation

    def _forget_reading(self) -> None:
        self._fetched.clear()
        self._sought.clear()
        self._base.clear()

    def resume_flow(self) -> None:
        """Let batches flow, once the tables are complete. Every partition is read then.

        Faust empties the agents' buffers right before. A partition paused because of a full buffer would wait for ever:
        the agent sleeps on the empty buffer, and never reports that there is room again.
        """
        super().resume_flow()
        generation, assigned = self.app.consumer_generation_id, self.assignment()
        if self._complete != generation:
            self._resume_kept(generation, assigned)
            return
        self._active_partitions |= self._buffered_partitions & assigned - self._paused_partitions
        self._buffered_partitions.clear()
        self.recovered = self._complete
        stateful = self.transport.positions.keys() - self.transport.stateless
        whole = frozenset(tp.partition for tp in assigned if tp.topic in stateful)
        self._whole = self._ready = generation, whole

    def _resume_kept(self, generation: int, assigned: set[TP]) -> None:
        """Let the partitions that have stayed go on from their applied offsets while the others are recovered."""
        positions, stateless = self.transport.positions, self.transport.stateless
        kept = {tp for tp in assigned if tp.topic in positions.keys() - stateless and tp.partition in self.kept}
        if not kept or self._whole[0] != generation or self._ready[0] == generation:
            return
        self._forget_reading()
        self._buffered_partitions -= kept
        self._wanted = {tp: positions[tp.topic](tp) for tp in kept}
        self.held |= self._wanted
        self._ready = generation, self.kept
        self.resume_partitions(kept)

    def follows(self, message: ConsumerMessage) -> bool:
        """Return whether a batch, or tick, follows what its agent's state has applied; if not, it is to be skipped.

        The missing records are requested again, and the skipped ones come with them. Faust drops fetched records in
        more than one place (a rebalance, a recovery, a suspended flow). None of these can be seen here, but the
        resulting hole can. A tick shows the hole at the end of a log, where no later batch would.
        """
        if not self._is_ready(message.tp, message.generation_id):
            return False  # fetched before a rebalance: the partition's owner reads it again
        tp, batch = message.tp, message.value
        applied = max(self.transport.positions[tp.topic](tp), self.held.get(tp, 0))
        if batch.since <= applied:
            return True
        if tp not in self._wanted:
            self.log.warning("%r: offsets from %d were skipped, and are read again", tp, applied)
            self._wanted[tp] = applied
        return False

    def done(self, *messages: ConsumerMessage) -> None:
        """Note that batches were handled, so that they may be committed.

        Faust's own note, made by its compiled stream, cannot be influenced, and keeps nothing of what is read a second
        time.
        """
        for message in messages:
            records, held = message.value.records, self.held.get(message.tp, 0)
            if self.ledgers[message.tp].acked(message.offset) if records else held:
                self._acked[message.tp]  # names the partition as one with something to commit

    def applied(self, tp: TP, following: int) -> None:
        """Note that an agent has applied everything below an offset of a partition."""
        if tp in self.held:
            self.held[tp] = max(following, self.held[tp])

    @property
    def unfinished(self) -> int:
        """Return the number of batches that the agents have."""
        return sum(ledger.unfinished for ledger in self.ledgers.values())

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Do nothing: batches carry their own ends, and offsets between them need no tracking."""

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.transport.positions:
            found: int | None = super()._new_offset(tp)
            return found
        self._acked[tp].clear()  # Faust's own note, which is not used and would grow for ever
        self._acked_index[tp].clear()
        ledger = self.ledgers[tp]
        found = ledger.committable()
        if ledger.unfinished:
            return found
        held = self.held.get(tp, 0)  # behind a transaction's marker, too, which no batch ends with
        return held if held > max(found or 0, self._committed_offset.get(tp) or 0) else found

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit, but not while a new generation is joined.

        A commit of the generation before makes aiokafka leave the group and join anew, which is another rebalance.
        """
        if self._joining:
            return False
        done: bool = await super()._commit(offsets)
        return done

    async def commit_applied(self) -> None:
        """Commit all applied offsets, once the agents have no more batches and everything is saved."""
        await self.commit()  # a commit under way, with less
        assigned = self.assignment()
        offsets = {tp: offset for tp, offset in self.held.items() if offset and tp in assigned}
        if offsets:
            await self._commit(offsets)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Give nothing more to the agents. Forget the batches of partitions that are no longer assigned."""
        await self.transport.before_revoked()
        self._complete = self.recovered = _NONE
        self._ready = _NONE, frozenset()
        for tp in revoked:
            self.ledgers.pop(tp, None)
        self.held = {tp: offset for tp, offset in self.held.items() if tp not in revoked}
        await super().on_partitions_revoked(revoked)
        self._joining = True


class BatchTransport(driver.Transport):  # type: ignore[misc]
    """Transport of an app: the batched topics, and the offset to read each of their partitions from.

    `on_kept` is called with the partitions that have stayed, at an assignment and once the tables are complete.
    Everything made of the other partitions before is to be made again. `prepare` is awaited with each partition before
    its position is requested. Long work is done there, and other work runs meanwhile.

    `before_revoked` is awaited while partitions that are to be given up still get their ticks: the whole group waits.
    `verify` is awaited with the read offset of each partition, before the partition is read on. An error that it raises
    ends the process. `on_refused` is called when Kafka does not take a table's write, and is to end the process.
    """

    Consumer = BatchConsumer
    Producer = ChangelogProducer
    on_kept: Callable[[frozenset[int]], None]
    prepare: Callable[[TP], Awaitable[None]]
    before_revoked: Callable[[], Awaitable[None]]
    on_refused: Callable[[], None]
    verify: Callable[[Mapping[TP, int]], Awaitable[None]]
    positions: dict[str, Position]
    stateless: set[str]
    """Topics whose partitions belong to no table: they may be in another number, and are with a worker of their own.

    They are read once everything is recovered, from what is committed.
    """
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
        transport.stateless = set()
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

    def read(self, full_name: str, topic: Topic, position: Position, *, stateless: bool = False) -> None:
        """Read a topic in batches, each partition from its `position` on. A `stateless` topic belongs to no table."""
        self.positions[full_name] = position
        self.topics[full_name] = topic
        if stateless:
            self.stateless.add(full_name)


async def _nothing_under_way() -> None:
    """Return at once: partitions may be revoked."""


async def _nothing_to_prepare(_tp: TP) -> None:
    """Return at once: every position is available."""


async def _nothing_to_verify(_positions: Mapping[TP, int]) -> None:
    """Return at once: every partition is accepted."""
