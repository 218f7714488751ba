"""Reading of the rows of a reference from Kafka: the newest ones, or those of a span of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

import pandas as pd
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from app.kafka.client_options import consumer_options
from app.kafka.consumer import Consumer
from app.kafka.errors import BrokerUnavailable
from app.kafka.topics import partitions_named
from app.references.event_rows import EventRows
from app.references.event_topics import EventTopics
from app.settings.settings import Settings
from app.tables import TableError
from app.tables.exports import MOST_ROWS

FIRST_STEP = 15.0
"""Seconds before now from which the newest rows are read first. Each further step is four times as long."""
MARGIN = 3600.0
"""Seconds by which a broker may have received an event before the time that the event has, at most."""
POLL_MS = 500

Offsets = Mapping[TopicPartition, int]


class WantedRows(NamedTuple):
    """Predictions that become a reference: the `last` ones, or those from `since` until before `until`.

    `ahead`: seconds that a prediction's time may be ahead of the broker's (`windows.ahead`).
    """

    model: str
    version: str
    ahead: float
    last: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def empty(self) -> EventRows:
        """Return a collection without rows yet."""
        return EventRows(
            self.model, self.version, most=self.last, since=self.since, until=self.until, ahead=self.ahead
        )  # fmt: skip


class ReadRows(NamedTuple):
    """Rows as a table, oldest first, and the number of records that could not be read."""

    frame: pd.DataFrame
    rejected: int


async def read_rows(settings: Settings, topics: EventTopics, wanted: WantedRows) -> ReadRows:
    """Return the wanted predictions of a model version, with the truth that has come.

    Reads no more of the topics than is needed. Raises TableError where there is no prediction, with the versions that
    have some, or where there are more than MOST_ROWS; BrokerUnavailable.
    """
    try:
        async with _connected(settings) as consumer:
            predictions = await _partitions(settings, topics.predictions)
            if wanted.last is None:
                first = None if wanted.since is None else wanted.since.timestamp() - MARGIN
                rows = await _since(consumer, topics, wanted, predictions, first)
            else:
                rows, first = await _last(consumer, topics, wanted, wanted.last, predictions)
            if not len(rows):
                raise TableError(_nothing(topics, wanted, rows))
            await _add_feedback(consumer, settings, topics, rows, first)
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(f"no Kafka responds at {settings.bootstrap_servers}: {error}") from error
    frame = rows.table()
    return ReadRows(frame, rows.rejected)


class FirstRows:
    """First predictions of a model version that Kafka has received since a moment, read on from call to call."""

    def __init__(self, settings: Settings, topics: EventTopics, wanted: WantedRows, most: int, since: float) -> None:
        self._settings = settings
        self._topics = topics
        self._since = since
        self._most = most
        self._start: Offsets | None = None
        self._rows = EventRows(wanted.model, wanted.version, most=most, first=True, ahead=wanted.ahead)

    def __len__(self) -> int:
        return min(len(self._rows), self._most)

    async def read_on(self) -> None:
        """Read what has come since the last call. Raises KafkaError, OSError, TableError."""
        async with _connected(self._settings) as consumer:
            partitions = await _partitions(self._settings, self._topics.predictions)
            start = self._start or await _offsets_at(consumer, partitions, self._since)
            until = await consumer.end_offsets(partitions)
            await _add(consumer, self._topics, self._rows, {tp: start.get(tp, 0) for tp in partitions}, until)
            self._start = until

    async def read(self) -> ReadRows:
        """Return the rows with the truth that has come. Raises KafkaError, OSError, TableError."""
        async with _connected(self._settings) as consumer:
            await _add_feedback(consumer, self._settings, self._topics, self._rows, self._since)
        frame = await asyncio.to_thread(self._rows.table)
        return ReadRows(frame, self._rows.rejected)


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Consumer]:
    consumer = Consumer(**consumer_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _add_feedback(
    consumer: Consumer, settings: Settings, topics: EventTopics, rows: EventRows, first: float | None
) -> None:
    """Add the feedback that the broker has received since an hour before `first` (None: all)."""
    partitions = await _partitions(settings, topics.feedback)
    start = await _offsets_at(consumer, partitions, None if first is None else first - MARGIN)
    async for run in _runs(consumer, start, await consumer.end_offsets(partitions)):
        received, rejected = await topics.read_feedback(run)
        rows.add_feedback(received)
        rows.rejected += rejected


async def _since(
    consumer: Consumer,
    topics: EventTopics,
    wanted: WantedRows,
    partitions: Sequence[TopicPartition],
    first: float | None,
) -> EventRows:
    """Return the rows of what the broker has received since `first` (None: everything)."""
    rows = wanted.empty()
    start = await _offsets_at(consumer, partitions, first)
    await _add(consumer, topics, rows, start, await consumer.end_offsets(partitions))
    return rows


async def _last(
    consumer: Consumer, topics: EventTopics, wanted: WantedRows, last: int, partitions: Sequence[TopicPartition]
) -> tuple[EventRows, float]:
    """Return the newest rows, and the time since when everything was read.

    Goes back in steps of the broker's time until a step has the last row that lacks. All partitions are read from the
    same time on, so no partition is favoured.
    """
    rows, step, now = wanted.empty(), FIRST_STEP, time.time()
    until: Offsets = await consumer.end_offsets(partitions)
    oldest = await consumer.beginning_offsets(partitions)
    while True:
        first = now - step
        start = {tp: min(until[tp], at) for tp, at in (await _offsets_at(consumer, partitions, first)).items()}
        older = wanted.empty()
        await _add(consumer, topics, older, start, until)
        rows.add_older(older)
        if len(rows) >= last or all(start[tp] <= oldest[tp] for tp in partitions):
            return rows, first
        until, step = start, step * 4


async def _add(consumer: Consumer, topics: EventTopics, rows: EventRows, start: Offsets, until: Offsets) -> None:
    async for run in _runs(consumer, start, until):
        received, rejected = await topics.read_predictions(run)
        rows.add_predictions(received)
        rows.rejected += rejected
        if len(rows) > MOST_ROWS:
            raise TableError(f"more than {MOST_ROWS:,} predictions: --since and --until choose, or --last")


async def _partitions(settings: Settings, topic: str) -> list[TopicPartition]:
    """Return the partitions of a topic. Raises TableError where there is no such topic."""
    count = await partitions_named(settings, topic)
    if not count:
        raise TableError(f"topic {topic} does not exist: start a worker first (driftline up)")
    return [TopicPartition(topic, number) for number in range(count)]


async def _offsets_at(
    consumer: Consumer, partitions: Sequence[TopicPartition], at: float | None
) -> dict[TopicPartition, int]:
    """Return the first offset of each partition with a time from `at` on; its end where all records are older."""
    if at is None:
        found: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        return found
    ends = await consumer.end_offsets(partitions)
    times = await consumer.offsets_for_times({tp: max(0, int(at * 1000)) for tp in partitions})
    return {tp: ends[tp] if times.get(tp) is None else times[tp].offset for tp in partitions}


async def _runs(consumer: Consumer, start: Offsets, until: Offsets) -> AsyncIterator[list[ConsumerRecord]]:
    """Yield the records between offsets, a run of one partition after another."""
    open_ = [tp for tp in start if start[tp] < until[tp]]
    consumer.assign(open_)
    for tp in open_:
        consumer.seek(tp, start[tp])
    while open_:
        for tp, run in (await consumer.getmany(*open_, timeout_ms=POLL_MS)).items():
            kept = [record for record in run if record.offset < until[tp]]
            if kept:
                yield kept
        open_ = [tp for tp in open_ if await consumer.position(tp) < until[tp]]


def _nothing(topics: EventTopics, wanted: WantedRows, rows: EventRows) -> str:
    listed = ", ".join(sorted(rows.other_versions))
    has = f"it has versions {listed} of {wanted.model}" if listed else f"it has none of {wanted.model}"
    left = f" ({rows.rejected:,} records cannot be read)" if rows.rejected else ""
    span = "" if wanted.since is None and wanted.until is None else " in that time"
    return f"topic {topics.predictions} has no predictions of {wanted.model} {wanted.version}{span}; {has}{left}"
