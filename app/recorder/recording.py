"""Recording of the history: its topics are read, and written into the database.

Nothing else waits for the recorder. If the database is locked, full or away, the write is tried again until it
succeeds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from agents.output import dead_letter
from app.faust_batches.reading_order import ReadingOrder
from app.history.database import History
from app.history.event_rows import entries_of
from app.history.retrying import OWN_FAULT, Stopped, reason_of, until_done
from app.history.setup import housekeeping_of
from app.history.writer import ADDING, Place, RecordedRun, Writer
from app.ingest.decoding import Rejected
from app.kafka.client_options import consumer_options
from app.kafka.consumer import Consumer, end_of
from app.kafka.producer import Producer
from app.kafka.topic_watch import Origin, TopicWatch
from app.processes.crash import crash
from app.recorder.health import RecorderHealth
from app.settings.settings import Settings
from topics.registry import DEAD_LETTERS, FEEDBACK, PREDICTIONS

log = logging.getLogger(__name__)

T = TypeVar("T")

POLL_MS = 250
MOST_RECORDS = 10_000
"""Records that are read and written together."""
FETCH_BYTES = 8 << 20
AWAY_MS = 3_600_000
"""Milliseconds that the database may block the recorder before Kafka gives its partitions to another."""
COMMIT_SECONDS = 1.0
LOOK_SECONDS = 5.0
"""Seconds between requests for the partitions' ends: the database may keep the recorder from reading on."""
ANSWER_SECONDS = 10.0
"""Seconds to wait for a response of Kafka."""


class Recorder:
    """Member of a consumer group of its own. The offsets to read from are in the database."""

    def __init__(
        self,
        settings: Settings,
        history: History,
        producer: Producer,
        watch: TopicWatch,
        standing: RecorderHealth,
        stopping: asyncio.Event,
    ) -> None:
        self._watch = watch
        self._settings = settings
        self._history = history
        self._producer = producer
        self._stopping = stopping
        self._writer = Writer(history)
        self._topics = {topic.full_name(settings.prefix): topic for topic in ADDING}
        self._standing = standing
        self._positions = standing.positions
        self._committed_at = 0.0
        largest = max(topic.max_message_bytes for topic in ADDING)
        self._order = ReadingOrder()
        self._order.leaders[FEEDBACK.full_name(settings.prefix)] = PREDICTIONS.full_name(settings.prefix)
        self._consumer = Consumer(
            **consumer_options(settings), group_id=f"{settings.group}-recorder",
            enable_auto_commit=False, auto_offset_reset="none", max_partition_fetch_bytes=largest,
            fetch_max_bytes=FETCH_BYTES, max_poll_interval_ms=AWAY_MS,
            session_timeout_ms=int(settings.session_seconds * 1000),
            heartbeat_interval_ms=int(settings.session_seconds * 1000 / 4),
        )  # fmt: skip

    async def run(self) -> None:
        """Record until stopped. Raises KafkaError, BrokerUnavailable; NewerHistory."""
        with contextlib.suppress(Stopped):
            await self._database(self._history.prepare)
            log.info("the recorder writes to %s", self._history.name)
            self._consumer.subscribe(list(self._topics), listener=_Rebalanced(self._standing))
            await self._consumer.start()
            house = asyncio.create_task(housekeeping_of(self._settings, self._history, self._stopping).run())
            looking = asyncio.create_task(self._look_ahead())
            watching = asyncio.create_task(self._watch.run(lambda: dict(self._positions)))
            watching.add_done_callback(_end_for_another_topic)  # at once: the database may block the recorder
            try:
                while not self._stopping.is_set():
                    await self._step()
                    for beside in (house, looking):
                        if beside.done():
                            beside.result()
            finally:
                looking.cancel()
                watching.cancel()
                await self._consumer.stop()
            await house

    async def _step(self) -> None:
        new = [tp for tp in self._consumer.assignment() if tp not in self._positions]
        if new:
            self._order.forget()
            await self._find_positions(new)
        try:
            fetched = await self._fetch()
        except NoOffsetForPartitionError:
            return  # a partition that came a moment ago: the offset to read from is found first
        except OffsetOutOfRangeError as error:
            (gone,) = error.args
            for tp in gone:
                self._positions.pop(tp, None)
            self._order.forget()
            return
        runs, rejected = [], []
        for tp, records in fetched.items():
            if tp in self._positions and records:  # else it came, or left, in the meantime
                self._standing.ends[tp] = self._consumer.highwater(tp) or 0
                run, wrong = self._read(tp, records)
                runs.append(run)
                rejected += [(tp, one) for one in wrong]
        await self._reject(rejected)
        runs = runs or list(self._passed())
        if runs:
            await self._write(runs)
            await self._commit()

    async def _fetch(self) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return the next records. Feedback follows its predictions, without which its rows would be written twice."""
        asked = self._order.without_those_ahead(self._consumer.assignment(), (), self._has_more)
        began = time.monotonic()
        fetched: dict[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
            *asked, timeout_ms=POLL_MS, max_records=MOST_RECORDS
        )
        self._order.fetched(asked, fetched, time.monotonic() - began)
        for tp, records in fetched.items():
            if records:
                self._order.handed(tp, records[0].timestamp, records[-1].timestamp)
        return fetched

    def _has_more(self, tp: TopicPartition) -> bool:
        end = end_of(self._consumer, tp)  # unknown before its first fetch
        return end is None or max(self._consumer.reached(tp) or 0, self._positions.get(tp, 0)) < end

    async def _look_ahead(self) -> None:
        """Request the partitions' ends repeatedly, even if the recorder is kept from reading them."""
        while True:
            held = list(self._consumer.assignment())
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    self._standing.ends = await self._consumer.end_offsets(held)
            except TimeoutError:
                self._standing.kafka = f"it has not answered for {ANSWER_SECONDS:g} s"
            except (KafkaError, IllegalStateError) as error:
                self._standing.kafka = type(error).__name__
            else:
                self._standing.kafka = None
            await asyncio.sleep(LOOK_SECONDS)

    def _passed(self) -> Iterator[RecordedRun]:
        """Yield the offsets that were read without a record: transactions' markers, and aborted records."""
        for tp, at in self._positions.items():
            reached = self._consumer.reached(tp)
            if reached is not None and reached > at:
                yield RecordedRun(self._topics[tp.topic], (tp.topic, tp.partition), at, reached, ())

    def _read(self, tp: TopicPartition, records: Sequence[ConsumerRecord]) -> tuple[RecordedRun, list[Rejected]]:
        topic = self._topics[tp.topic]
        entries, rejected = entries_of(topic, records)
        end = records[-1].offset + 1
        return RecordedRun(topic, (tp.topic, tp.partition), self._positions[tp], end, tuple(entries)), rejected

    async def _write(self, runs: Sequence[RecordedRun]) -> None:
        """Write runs. A row that the database never accepts goes to the dead letters; the others are written."""
        try:
            ends = await self._database(partial(self._writer.write, runs))
        except OWN_FAULT as error:
            await self._write_apart(runs, error)
            return
        for run in runs:
            self._go_on(TopicPartition(*run.place), run.end, ends.get(run.place))

    def _go_on(self, tp: TopicPartition, read: int, recorded: int | None) -> None:
        """Read on from the recorded offset; where that is unknown, it is found again."""
        if tp not in self._positions or recorded is None:
            self._positions.pop(tp, None)
            return
        self._positions[tp] = recorded
        if recorded != read:
            with contextlib.suppress(IllegalStateError):  # it moved to another recorder in the meantime
                self._consumer.seek(tp, recorded)

    async def _write_apart(self, runs: Sequence[RecordedRun], error: Exception) -> None:
        if len(runs) > 1:
            for run in runs:
                await self._write([run])
            return
        (run,) = runs
        if len(run.entries) > 1:
            for half in run.halves():
                await self._write([half])
            return
        (entry,) = run.entries
        tp = TopicPartition(*run.place)
        await self._reject([(tp, Rejected(entry.record, f"history: {reason_of(error)}", readable=True))])
        await self._write([run.without_entries()])

    async def _reject(self, rejected: Sequence[tuple[TopicPartition, Rejected]]) -> None:
        if not rejected:
            return
        letters = [dead_letter(tp.topic, tp.partition, one) for tp, one in rejected]
        for refused in await self._producer.send_many(DEAD_LETTERS, letters):
            log.error("a dead letter is lost: %s", refused.reason)
        self._standing.dead_letters((tp.topic, one.reason) for tp, one in rejected)
        log.warning("%d records to the dead letters; the first: %s", len(rejected), rejected[0][1].reason)

    async def _find_positions(self, new: Sequence[TopicPartition]) -> None:
        """Read each new partition on from the offset that the database has for it."""
        places: list[Place] = [(tp.topic, tp.partition) for tp in new]
        known = await self._database(partial(self._writer.positions, places))
        await self._verify({tp: at for tp in new if (at := known.get((tp.topic, tp.partition))) is not None})
        starts = await self._consumer.beginning_offsets(new)
        for tp in new:
            at = known.get((tp.topic, tp.partition))
            position = await self._moved(tp, at, starts[tp])
            if tp not in self._consumer.assignment():
                continue
            self._consumer.seek(tp, position)
            self._positions[tp] = position

    async def _moved(self, tp: TopicPartition, at: int | None, start: int) -> int:
        """Return the offset to go on from: `at`, unless the log, which starts at `start`, no longer has it."""
        if at is not None and at >= start:
            return at
        if at is not None:
            self._lost(tp, start - at)
        await self._database(partial(self._writer.move, (tp.topic, tp.partition), start))
        return start

    async def _verify(self, known: Mapping[TopicPartition, int]) -> None:
        """Check that the topics are those recorded up to these offsets. Note the topics that have no note yet.

        Raises TopicError.
        """
        noted = {name: Origin(*of) for name, of in (await self._database(self._writer.topics)).items()}
        await self._watch.verify(known, {tp: noted.get(tp.topic) for tp in known})
        for name in self._topics:
            origin = self._watch.origin(name)
            if name not in noted and origin is not None:
                await self._database(partial(self._writer.note_topic, name, origin.cluster, origin.topic))

    def _lost(self, tp: TopicPartition, records: int) -> None:
        log.error("%d records of %s/%d were deleted before they were recorded", records, tp.topic, tp.partition)
        self._standing.lost(tp.topic, records)

    async def _commit(self) -> None:
        """Commit the offsets for monitors of the lag: the recorder itself does not read them."""
        now = asyncio.get_running_loop().time()
        if now < self._committed_at + COMMIT_SECONDS:
            return
        self._committed_at = now
        try:
            await self._consumer.commit(dict(self._positions))
        except (KafkaError, IllegalStateError) as error:
            log.debug("the lag is not reported: %r", error)

    async def _database(self, work: Callable[[], T]) -> T:
        """Do work in a thread until it succeeds. Raises OWN_FAULT's errors, and Stopped where the recorder ends."""
        return await until_done(self._history, work, self._stopping, self._standing.waits)


def _end_for_another_topic(watching: asyncio.Task[None]) -> None:
    if not watching.cancelled() and (error := watching.exception()) is not None:
        crash(error, "the watch of topics failed")


class _Rebalanced(ConsumerRebalanceListener):  # type: ignore[misc]  # it comes without types
    """Listener that forgets all read offsets in a rebalance: another recorder may go on with a partition meanwhile."""

    def __init__(self, standing: RecorderHealth) -> None:
        self._standing = standing

    async def on_partitions_revoked(self, revoked: object) -> None:
        self._standing.positions.clear()
        self._standing.held = None

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._standing.positions.clear()
        self._standing.held = frozenset(assigned)
