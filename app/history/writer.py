"""Runs of records into the database, each record once: the offset is written with the rows that it stands for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, select

from app.history.database import History
from app.history.forgotten import feedback_left, forgotten_of, predictions_left
from app.history.inserting import add, put
from app.history.joined import add_feedback, add_predictions
from app.history.rows import Row
from app.history.silent_sums import add_default_truths
from app.history.tables import (
    ALERTS,
    AUDIT,
    DELIVERIES,
    DRIFT_CHECKS,
    MODEL_DEPLOYMENTS,
    RECORDED_OFFSETS,
    RECORDED_TOPICS,
    TRAINING_RUNS,
)
from app.telemetry import metrics
from topics import registry
from topics.registry import Topic

Place = tuple[str, int]
"""A topic's whole name and a partition."""

Adding = Callable[[Connection, Sequence[Row]], Mapping[str, int]]
"""Writes rows; answers how many, by table."""


def _into(table: Table, insert: Callable[[Connection, Table, Sequence[Row]], None] = add) -> Adding:
    def adding(connection: Connection, rows: Sequence[Row]) -> Mapping[str, int]:
        insert(connection, table, rows)
        return {table.name: len(rows)}

    return adding


ADDING: dict[Topic, Adding] = {
    registry.MODELS: add_default_truths,
    registry.PREDICTIONS: add_predictions,
    registry.FEEDBACK: add_feedback,
    registry.REPORTS: _into(DRIFT_CHECKS),
    registry.ALERTS: _into(ALERTS),
    registry.DELIVERIES: _into(DELIVERIES),
    registry.TRAINING_RUNS: _into(TRAINING_RUNS, put),
    registry.DEPLOYMENTS: _into(MODEL_DEPLOYMENTS),
    registry.AUDIT: _into(AUDIT),
}
"""Every topic that is recorded, in the order in which a batch of them is."""


class Entry(NamedTuple):
    """A record, and its row."""

    offset: int
    row: Row
    record: Any = None


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What was read of one partition, from offset `start` on to before `end`. Not every record has an entry."""

    topic: Topic
    place: Place
    start: int
    end: int
    entries: tuple[Entry, ...]

    def halves(self) -> tuple[RecordedRun, RecordedRun]:
        """The run in two, of two entries or more."""
        middle = len(self.entries) // 2
        at = self.entries[middle].offset
        return (
            replace(self, end=at, entries=self.entries[:middle]),
            replace(self, start=at, entries=self.entries[middle:]),
        )

    def without_entries(self) -> RecordedRun:
        """The run as read, with nothing of it to be written."""
        return replace(self, entries=())


class Writer:
    """Writes runs. Whoever else writes to the same history does it before or after."""

    def __init__(self, history: History, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._history = history
        self._now = now

    def positions(self, places: Sequence[Place]) -> dict[Place, int]:
        """The next offset to record of each partition; of those that any was recorded of. Raises as `write`."""
        with self._history.writing() as connection:
            return _positions(connection, places)

    def topics(self) -> dict[str, tuple[str, str]]:
        """The cluster and the id of each topic that was recorded of. Raises as `write`."""
        with self._history.writing() as connection:
            found = connection.execute(select(RECORDED_TOPICS))
            return {row.topic: (row.cluster, row.topic_id) for row in found}

    def note_topic(self, topic: str, cluster: str, topic_id: str) -> None:
        """Note which topic the offsets are of. Raises as `write`."""
        with self._history.writing() as connection:
            put(connection, RECORDED_TOPICS, [{"topic": topic, "cluster": cluster, "topic_id": topic_id}])

    def move(self, place: Place, offset: int) -> None:
        """Record a partition from this offset on: it is new, or the log before that is gone. Raises as `write`."""
        with self._history.writing() as connection:
            _save(connection, {place: offset})

    def write(self, runs: Sequence[RecordedRun]) -> dict[Place, int]:
        """Write runs in one transaction; answers where each partition is to be read from next.

        What was recorded already is left out. Nothing is written of a run that starts beyond that: what lies between
        would be missing. A partition that is not in the answer is not known: the database was made anew. Raises
        SQLAlchemy's errors, OverflowError and UnicodeEncodeError; then nothing is written.
        """
        began, written = time.perf_counter(), Counter[str]()
        with self._history.writing() as connection:
            known = _positions(connection, [run.place for run in runs])
            fitting = [run for run in runs if known.get(run.place, -1) >= run.start]
            recorded_at = self._now()
            forgotten = forgotten_of(connection)
            for topic, adding in ADDING.items():
                rows: list[Row] = [
                    {**entry.row, "recorded_at": recorded_at}
                    for run in fitting
                    if run.topic is topic
                    for entry in run.entries
                    if entry.offset >= known[run.place]
                ]
                if topic is registry.PREDICTIONS:
                    rows, forgotten = predictions_left(connection, forgotten, rows, recorded_at)
                elif topic is registry.FEEDBACK:
                    rows = feedback_left(forgotten, rows)
                if rows:
                    written.update(adding(connection, rows))
            ends = {run.place: run.end for run in fitting if run.end > known[run.place]}
            _save(connection, ends)
        if ends:
            _tell(written, time.perf_counter() - began, recorded_at)
        return {**known, **ends}


def _tell(written: Mapping[str, int], seconds: float, at: datetime) -> None:
    """A batch is committed."""
    for table, rows in written.items():
        metrics.RECORDER_ROWS.labels(table).inc(rows)
    metrics.RECORDER_BATCH_SECONDS.observe(seconds)
    metrics.RECORDER_LAST_WRITE.set(at.timestamp())


def _positions(connection: Connection, places: Sequence[Place]) -> dict[Place, int]:
    columns = RECORDED_OFFSETS.c
    topics = {topic for topic, _ in places}
    found = connection.execute(select(RECORDED_OFFSETS).where(columns.topic.in_(topics)))
    offsets = {(row.topic, row.partition): row.next_offset for row in found}
    return {place: offsets[place] for place in places if place in offsets}


def _save(connection: Connection, offsets: dict[Place, int]) -> None:
    rows: list[Row] = [
        {"topic": topic, "partition": partition, "next_offset": offset}
        for (topic, partition), offset in offsets.items()
    ]
    put(connection, RECORDED_OFFSETS, rows)
