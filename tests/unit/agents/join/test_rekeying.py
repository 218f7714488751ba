"""Two partitioners, one join: what is in the wrong partition is counted where its id is joined, once, through kills."""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from zlib import crc32

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from agents.join.agent import SOURCES, JoinAgent
from agents.join.not_counted import IntakeMonitor
from agents.join.pane_events import key_of
from agents.join.store import JoinStore
from app.core.config.monitoring import Monitoring, Windows
from app.faust_batches.batch import Batch, Log
from app.ingest.decoding import Record, Rejected
from app.ingest.naming import Version
from app.ingest.rekeying import client_of, origin_header, origin_of, strays
from app.kafka.producer import Outgoing
from app.registration.models_table import RegisteredModel
from tests.support.join_log import PROFILES, START
from tests.support.join_world import Killed, run
from tests.support.outputs import pane_events
from tests.support.reports import StubRecord
from topics.events import PaneEvent, PanePartial, Progress
from topics.partition import partitions_of
from topics.registry import PREDICTIONS, REPORTS, Topic

PARTITIONS, PANE = 3, 60.0
WINDOWS = Windows(pane=PANE, panes=5, retention=1.2e5)
MODEL = RegisteredModel(PROFILES["binary"], Monitoring(windows=WINDOWS), datetime(2024, 1, 1, tzinfo=UTC))
NEVER = 1 << 60


class Stream:
    """Logs of predictions (0) and feedback (1) that two producers write, each by its partitioner, and the truth."""

    def __init__(self, rng: random.Random, n: int, hours: float) -> None:
        self.rng = rng
        self.logs: dict[tuple[int, int], list[StubRecord]] = {
            (partition, topic): [] for partition in range(PARTITIONS) for topic in (0, 1)
        }
        self.taken = 0
        self.panes: Counter[float] = Counter()
        self.confusion: Counter[tuple[float, int]] = Counter()
        self.duplicates = 0
        for i in range(n):
            self._send(f"id{i}", START + hours * 3600 * (i // 8 * 8) / n - rng.choice([0.0, 5.0, 200.0]))

    def _send(self, key: str, time: float) -> None:
        rng, murmur = self.rng, self.rng.random() < 0.5
        event = {
            "prediction_id": key, "model": "m", "model_version": "binary", "timestamp": time,
            "features": {"size": 1.0, "colour": "red"}, "prediction": rng.choice("01"), "probability": 0.7,
        }  # fmt: skip
        pane = time // PANE * PANE
        actuals = [rng.choice("01") for _ in range(rng.choice([0, 1, 1, 2, 3]))]
        records = [(0, event)] + [(1, {"prediction_id": key, "actual": actual}) for actual in actuals]
        if rng.random() < 0.3:  # truth may come first
            records = records[1:] + records[:1]
        if rng.random() < 0.1:
            records.append((0, event))
            self.duplicates += 1
        for topic, value in records:
            hashed = int(partitions_of([key.encode()], PARTITIONS)[0]) if murmur else crc32(key.encode()) % PARTITIONS
            self.append(hashed, topic, key.encode(), json.dumps(value).encode())
        self.panes[pane] += 1
        if actuals:
            self.confusion[pane, int(actuals[-1]) * 2 + int(str(event["prediction"]))] += 1

    def append(
        self, partition: int, topic: int, key: bytes | None, value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:  # fmt: skip
        log = self.logs[partition, topic]
        self.taken += 1
        offset = log[-1].offset + 1 + (self.rng.random() < 0.05) if log else 0
        log.append(StubRecord(offset, value, key, round(START * 1000) + 10**9 + self.taken, headers=tuple(headers)))


class Table(MutableMapping[str, bytes]):
    """The join's table, each write of which may be the last."""

    def __init__(self, rows: dict[str, bytes], owner: Worker) -> None:
        self.rows, self._owner = rows, owner

    def __getitem__(self, key: str) -> bytes:
        return self.rows[key]

    def __setitem__(self, key: str, value: bytes) -> None:
        self._owner.step()
        self.rows[key] = value

    def __delitem__(self, key: str) -> None:
        self._owner.step()
        del self.rows[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class Worker:
    """Has every partition; is killed at whatever the world can see next, when its steps are used up."""

    revision = 1
    partitions = PARTITIONS

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.rows: dict[str, bytes] = {}
        self.newest: dict[bytes, PaneEvent] = {}
        self.rejected: list[Rejected] = []
        self.resent: list[Record] = []
        self.steps_left = NEVER
        self.clock, self.epochs = 0.0, 0
        self.start()

    def get(self, model: str, version: str) -> RegisteredModel | None:
        return MODEL

    async def catch_up(self) -> None:
        """All is known."""

    def _epoch(self) -> int:
        self.epochs += 1
        return self.epochs

    def start(self) -> None:
        """Begin, or begin again with what is saved."""
        self.join = JoinAgent(
            Table(self.rows, self), self, checkpoint_seconds=1.0, now=lambda: self.clock, epoch=self._epoch,
            partitions=PARTITIONS, rekey=self._rekey,
            log_of=lambda topic, partition: Log(0, self._end(partition, SOURCES.index(topic)), 0),
        )  # fmt: skip

    def _end(self, partition: int, topic: int) -> int:
        log = self.stream.logs[partition, topic]
        return log[-1].offset + 1 if log else 0

    def step(self) -> None:
        if self.steps_left <= 0:
            raise Killed
        self.steps_left -= 1

    def read(self, partition: int, topic: int, most: int) -> bool:
        """Take the next records; answers whether there were any."""
        log = self.stream.logs[partition, topic]
        at = bisect_left(log, self.join.position(SOURCES[topic], partition), key=attrgetter("offset"))
        found = log[at : at + most]
        self.clock += 0.3
        try:
            run(self.join.handle(Batch(SOURCES[topic], partition, found, caught_up=at + most >= len(log)), self))
        except Killed:
            self.steps_left = NEVER
            self.start()
        return bool(found)

    def finish(self) -> None:
        """Read all, what is sent again meanwhile too, and save."""
        while sum(self.read(*part, 40) for part in self.stream.logs):
            pass
        for _ in range(5):
            for partition in range(PARTITIONS):
                self.read(partition, 0, 0)
            self.clock += 2.0

    async def _rekey(self, topic: Topic, partition: int, records: Sequence[Record]) -> None:
        for record in records:
            self.step()
            to = int(partitions_of([record.key or b""], PARTITIONS)[0])
            headers = [*record.headers, origin_header(partition, record)]
            self.stream.append(to, SOURCES.index(topic), record.key, record.value, headers)
            self.resent.append(record)

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        if topic is REPORTS:
            return  # of what is not counted
        for event in pane_events(records, self.partitions):
            self.step()
            known = self.newest.get(key_of(event))
            if known is None or event.revision >= known.revision:
                self.newest[key_of(event)] = event

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        self.rejected += rejected

    def panes(self) -> Counter[float]:
        """Predictions by pane, all partitions together."""
        found: Counter[float] = Counter()
        for event in self.newest.values():
            if isinstance(event, PanePartial) and event.kind == "input":
                found[event.pane_start] += event.n
        return found

    def confusion(self) -> Counter[tuple[float, int]]:
        """Pairs of truth and prediction by pane."""
        found: Counter[tuple[float, int]] = Counter()
        for event in self.newest.values():
            if isinstance(event, PanePartial) and event.kind == "outcome":
                counts = np.frombuffer(event.counts, "<i8").tolist()
                for slot, count in zip(np.frombuffer(event.indices, "<i4").tolist(), counts, strict=True):
                    if slot < 4:
                        found[event.pane_start, slot] += count
        return +found

    def duplicates(self) -> int:
        """Repeated ids, all partitions together."""
        return sum(event.duplicates for event in self.newest.values() if isinstance(event, Progress))


def equal(worker: Worker) -> None:
    assert worker.rejected == []
    assert worker.panes() == worker.stream.panes
    assert worker.confusion() == worker.stream.confusion
    assert worker.duplicates() == worker.stream.duplicates
    assert worker.resent


@pytest.mark.slow
@settings(max_examples=8, phases=(Phase.explicit, Phase.generate))
@given(seed=st.integers(0, 1 << 32))
def test_half_of_each_partitioner_is_counted_as_sent_though_the_worker_is_killed(seed: int) -> None:
    rng = random.Random(seed)
    stream = Stream(rng, 60, hours=0.2)
    worker = Worker(stream)
    for _ in range(60):
        if rng.random() < 0.2:
            worker.steps_left = rng.randrange(8)
        worker.read(rng.randrange(PARTITIONS), rng.randrange(2), rng.randrange(12))
    worker.finish()
    equal(worker)


@pytest.mark.parametrize("killed", [False, True])
def test_what_is_sent_again_behind_hours_of_backlog_is_not_late(killed: bool) -> None:
    """Each partition is read to its end before anything comes from another: panes were forgotten long before."""
    stream = Stream(random.Random(5), 400, hours=30.0)
    worker = Worker(stream)
    for partition in range(PARTITIONS):
        for topic in (1, 0):
            worker.clock += 60.0  # feedback is at its end: nothing keeps panes from being forgotten
            while worker.read(partition, topic, 25):
                if topic == 0 and len(worker.resent) > 20 and not origin_pending(stream, worker, partition):
                    break
        if killed:
            worker.start()
    worker.finish()
    equal(worker)


class Noting(IntakeMonitor):
    """Counts the records that it is given, by topic, and the predictions that were taken."""

    def __init__(self) -> None:
        super().__init__(JoinStore({}), "workers", lambda model, version: "p")
        self.noted: Counter[int] = Counter()
        self.taken = 0

    def note(
        self, partition: int, topic: int, records: Sequence[Record], rejected: Sequence[Rejected],
        taken: Mapping[Version, int], waiting: Collection[bytes],
    ) -> None:  # fmt: skip
        super().note(partition, topic, records, rejected, taken, waiting)
        self.noted[topic] += len(records)
        self.taken += sum(taken.values())


@pytest.mark.parametrize("most", [1, 40])
def test_what_is_sent_again_is_noted_once_where_it_is_counted(most: int) -> None:
    stream = Stream(random.Random(3), 60, 1.0)
    worker = Worker(stream)
    worker.join._intake = intake = Noting()
    while sum(worker.read(*part, most) for part in stream.logs):
        pass
    assert worker.resent
    sent = {
        topic: sum(
            origin_of(record) is None for partition in range(PARTITIONS) for record in stream.logs[partition, topic]
        )
        for topic in (0, 1)
    }
    assert intake.noted == sent
    assert intake.taken == sent[0] - len(worker.rejected)


def origin_pending(stream: Stream, worker: Worker, partition: int) -> bool:
    """Whether the next record of a partition's predictions was written by a producer."""
    log = stream.logs[partition, 0]
    at = bisect_left(log, worker.join.position(PREDICTIONS, partition), key=attrgetter("offset"))
    return at < len(log) and origin_of(log[at]) is None


def test_a_record_is_sent_again_once_and_heartbeats_and_foreign_keys_never() -> None:
    keys = [b"%d" % i for i in range(50)]
    records = [StubRecord(i, b"{}", key) for i, key in enumerate(keys)]
    away = strays(records, 0, PARTITIONS)
    assert away.tolist() == [int(partitions_of([key], PARTITIONS)[0]) != 0 for key in keys]
    marked = [StubRecord(r.offset, r.value, r.key, headers=(origin_header(1, r),)) for r in records]
    assert not strays(marked, 0, PARTITIONS).any()
    assert [origin_of(record) for record in marked] == [(1, i) for i in range(50)]
    assert not strays([StubRecord(0, b"{}", None)], 0, PARTITIONS).any()
    for strange in (b"", b"x/1", b"1", b"-1/3", b"1/"):
        assert origin_of(StubRecord(0, b"{}", b"k", headers=(("driftline-rekeyed", strange),))) is None


def test_a_producer_is_named_by_its_headers() -> None:
    assert client_of(StubRecord(0, b"", b"k", headers=(("trace", b"1"), ("client.id", b"checkout")))) == "checkout"
    assert client_of(StubRecord(0, b"", b"k")) == ""
