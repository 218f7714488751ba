"""What follows is never further ahead than one fetch while its leader has no room, or brings nothing for a moment."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from faust.types import TP

from app.faust_batches.app import make_app
from app.faust_batches.batch import Log
from app.kafka.parsed_fetch import Fetched
from app.recorder import recording
from app.recorder.health import RecorderHealth
from app.recorder.recording import Recorder
from app.settings.settings import load_settings
from tests.support.reports import StubRecord
from topics import registry as topics

RECORDS, FETCH, LATER = 240, 20, 5
"""In each topic; a fetch's; the truth of the i-th prediction is in the log so many records' time after it."""
PREDICTIONS, FEEDBACK = "driftline.predictions", "driftline.feedback"
ROOM, FULL, NOTHING = "room", "full", "nothing"
"""Of the leader in a round: its agent takes what it brings; has no room; the broker sends nothing of it."""
ROUNDS = [
    FULL,
    *[NOTHING] * 3,
    ROOM,
    *[FULL] * 8,
    ROOM,
    NOTHING,
    ROOM,
    FULL,
    FULL,
    ROOM,
    *[NOTHING] * 6,
    ROOM,
    *[FULL] * 9,
]


class Logs:
    """Both topics, as the broker has them, and how far they are read."""

    def __init__(self) -> None:
        self.read = {PREDICTIONS: 0, FEEDBACK: 0}
        self.ends: dict[str, int | None] = {PREDICTIONS: None, FEEDBACK: None}
        self.leader = ROOM

    def fetch(self, topics: Collection[str]) -> Iterator[tuple[str, list[StubRecord]]]:
        """The next records of these topics: feedback is smaller, so that twice as many come at once."""
        for topic in topics:
            if topic == PREDICTIONS and self.leader != ROOM:
                continue
            self.ends[topic] = RECORDS
            most, at = (FETCH, self.read[topic]) if topic == PREDICTIONS else (2 * FETCH, self.read[topic])
            later = 0 if topic == PREDICTIONS else LATER
            offsets = range(at, min(at + most, RECORDS))
            self.read[topic] += len(offsets)
            if offsets:
                yield topic, [StubRecord(i, b"", timestamp=1000 + (i + later) * 10) for i in offsets]

    @property
    def ahead(self) -> int:
        """Truths that were read before their predictions."""
        return self.read[FEEDBACK] - self.read[PREDICTIONS]


class WorkersReader:
    """The worker's own consumer; its buffers are full and empty as it is said."""

    def __init__(self, logs: Logs, tmp_path: Path) -> None:
        self.logs = logs
        self.tps = {topic: TP(topic, 0) for topic in logs.read}
        app = make_app(load_settings(state_dir=tmp_path))
        app.transport.tick_seconds = 60.0
        app.transport.order.leaders[FEEDBACK] = PREDICTIONS
        for topic in (topics.PREDICTIONS, topics.FEEDBACK):
            app.transport.read(topic.full_name(), topic, lambda tp: 0)
        self.consumer = consumer = app.transport.Consumer(app.transport, _nothing, _nothing, _nothing)
        consumer._thread.thread_loop.close()  # of the thread that would fetch
        consumer._thread = self
        consumer._complete = app.consumer_generation_id
        consumer.resume_flow()
        consumer.resume_partitions(set(self.tps.values()))
        consumer.logs = {tp: Log(0, RECORDS, 0) for tp in self.tps.values()}

    async def round(self) -> None:
        if self.logs.leader == FULL:
            self.consumer.on_buffer_full(self.tps[PREDICTIONS])
        else:
            self.consumer.on_buffer_drop(self.tps[PREDICTIONS])
        async for _ in self.consumer.getmany(0.001):
            pass

    # In the place of Faust's thread

    def assignment(self) -> set[TP]:
        return set(self.tps.values())

    async def getmany(self, active: set[TP], timeout: float) -> dict[TP, Fetched]:
        found = {}
        for topic, records in self.logs.fetch([tp.topic for tp in active]):
            for record in records:
                record.timestamp_type = 0  # type: ignore[attr-defined]
            found[self.tps[topic]] = Fetched(records, records[0].offset, records[-1].offset + 1)
        return found

    async def seek_wait(self, partitions: object) -> None:
        """They are read from their start."""

    def end(self, tp: TP) -> int:
        return self.logs.ends[tp.topic] or 0

    highwater = end

    def reached(self, tp: TP) -> int:
        return self.logs.read[tp.topic]


class RecordersReader:
    """The recorder's fetch. It has no buffers: a leader without room is one that brings nothing."""

    _isolation_level = "read_committed"

    def __init__(self, logs: Logs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.logs = logs
        self.tps = {topic: TopicPartition(topic, 0) for topic in logs.read}
        monkeypatch.setattr(recording, "Consumer", lambda **_: self)
        standing, none = RecorderHealth("driftline."), SimpleNamespace()
        standing.positions.update(dict.fromkeys(self.tps.values(), 0))
        self.recorder = Recorder(load_settings(state_dir=tmp_path), none, none, none, standing, none)  # type: ignore[arg-type]

    async def round(self) -> None:
        for tp, records in (await self.recorder._fetch()).items():
            self.recorder._positions[tp] = records[-1].offset + 1

    # In the place of aiokafka's consumer

    def assignment(self) -> set[TopicPartition]:
        return set(self.tps.values())

    async def getmany(self, *asked: TopicPartition, timeout_ms: int, max_records: int) -> dict[TopicPartition, Any]:
        return {self.tps[topic]: records for topic, records in self.logs.fetch([tp.topic for tp in asked])}

    def highwater(self, tp: TopicPartition) -> int | None:
        return self.logs.ends[tp.topic]

    last_stable_offset = highwater

    def reached(self, tp: TopicPartition) -> int:
        return self.logs.read[tp.topic]


async def _nothing(*_: Any) -> None:
    """A callback that is not called."""


@pytest.mark.parametrize("reader", ["worker", "recorder"])
async def test_feedback_is_never_further_ahead_than_one_fetch(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = Logs()
    reading = WorkersReader(logs, tmp_path) if reader == "worker" else RecordersReader(logs, tmp_path, monkeypatch)
    most = 0
    for leader in (*ROUNDS, *[ROOM] * (3 * RECORDS // FETCH)):
        logs.leader = leader
        await reading.round()
        most = max(most, logs.ahead)
        assert logs.ahead <= 2 * FETCH, f"{logs.read}"
    assert most > 0, "nothing was ever ahead: so nothing had to wait"
    assert logs.read == {PREDICTIONS: RECORDS, FEEDBACK: RECORDS}, "all is read in the end"
