"""Writer of record batches into the database.

Each record is written once, because its offset is saved in the same transaction as its row.
"""

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
"""A topic's full name and a partition."""

Adding = Callable[[Connection, Sequence[Row]], Mapping[str, int]]
"""Function that writes rows and returns their number by table."""


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
"""Every recorded topic, in the order in which its records of a batch are written."""


class Entry(NamedTuple):
    """A record and its row."""

    offset: int
    row: Row
    record: Any = None


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A batch of one partition: the entries from offset `start` up to but not including `end`.

    Not every record has an entry.
    """

    topic: Topic
    place: Place
    start: int
    end: int
    entries: tuple[Entry, ...]

    def halves(self) -> tuple[RecordedRun, RecordedRun]:
        """Return the batch split in two; it must have at least two entries."""
        middle = len(self.entries) // 2
        at = self.entries[middle].offset
        return (
            replace(self, end=at, entries=self.entries[:middle]),
            replace(self, start=at, entries=self.entries[middle:]),
        )

    def without_entries(self) -> RecordedRun:
        """Return the batch with its offsets, but without entries to write."""
        return replace(self, entries=())


class Writer:
    """Writes batches. Other writers of the same history wait until a write has ended."""

    def __init__(self, history: History, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._history = history
        self._now = now

    def positions(self, places: Sequence[Place]) -> dict[Place, int]:
        """Return the next offset to record of each partition that has been recorded. Raises as `write`."""
        with self._history.writing() as connection:
            return _positions(connection, places)

    def topics(self) -> dict[str, tuple[str, str]]:
        """Return the cluster and the id of each recorded topic. Raises as `write`."""
        with self._history.writing() as connection:
            found = connection.execute(select(RECORDED_TOPICS))
            return {row.topic: (row.cluster, row.topic_id) for row in found}

    def note_topic(self, topic: str, cluster: str, topic_id: str) -> None:
        """Save the cluster and the id of the topic to which the offsets belong. Raises as `write`."""
        with self._history.writing() as connection:
            put(connection, RECORDED_TOPICS, [{"topic": topic, "cluster": cluster, "topic_id": topic_id}])

    def move(self, place: Place, offset: int) -> None:
        """Set the next offset to record of a partition. Raises as `write`.

        The partition is new, or its earlier records have expired.
        """
        with self._history.writing() as connection:
            _save(connection, {place: offset})

    def write(self, runs: Sequence[RecordedRun]) -> dict[Place, int]:
        """Write batches in one transaction. Return the offset from which each partition is to be read next.

        Records that were recorded already are left out. A batch that starts after the next offset is not written, since
        the records in between would be missing. A partition that is missing from the result is unknown to the database,
        because the database was created again. Raises SQLAlchemy's errors, OverflowError and UnicodeEncodeError; then
        nothing is written.
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
    """Update the metrics after a batch was committed."""
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
