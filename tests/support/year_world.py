"""A quiet model for as long as one likes: the join, its windows, the topic `panes` compacted, workers that die."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import ClassVar

import msgspec
import numpy as np

from agents.join.agent import SOURCES as SOURCE_TOPICS
from agents.join.agent import JoinAgent
from agents.windows.agent import WindowsAgent
from app.core.config.monitoring import DriftThresholds, Monitoring, Windows
from app.core.profile_builder import build_profile
from app.faust_batches.batch import Batch, Log
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from app.registration.models_table import RegisteredModel
from tests.support.join_world import run
from tests.support.reports import StubRecord
from topics.events import AnyReport, DriftReport, PaneEvent, PanePartial, PerformanceReport
from topics.partition import partition_of
from topics.registry import PANES, REPORTS, Topic

BEGIN = 1_700_006_400
"""A midnight."""
PANE = 60
DAY = 86_400
REFERENCE = np.array([0.0, 1.0, 1.0, 2.0, 5.0])
SOURCES = 2


class Killed(Exception):
    """The worker ends here."""


def profile_of(version: str, seed: int = 0) -> RegisteredModel:
    """A registration; of another reference for another seed."""
    probability = np.array([0.1, 0.4, 0.6, 0.7, 0.9])
    labels = ["0", "0", "1", "1", "1"]
    profile = build_profile("quiet", version, "binary", {"size": REFERENCE + seed}, labels, probability)
    return RegisteredModel(profile, Monitoring(), datetime(2023, 1, 1, tzinfo=UTC))


VERSIONS = [str(i) for i in range(99) if partition_of("quiet", str(i), SOURCES) == 0][:4]
"""All in one partition of `panes`."""
VERSION, OTHER = VERSIONS[:2]


@dataclass
class Sizes:
    """What there is: keys in `panes`, keys in both tables, rows and panes in memory."""

    topic: int
    join: int
    windows: int
    rows: int
    held: int


@dataclass
class World:
    """One partition of `panes` of two source partitions. What is made a pane: two predictions, and truth for one."""

    partitions: ClassVar[int] = SOURCES
    windows: Windows
    drift: DriftThresholds = field(default_factory=DriftThresholds)
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    clock: float = BEGIN
    revision: int = 1
    epochs: int = 0
    panes: dict[bytes, StubRecord] = field(default_factory=dict)
    offset: int = 0
    made: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    issued: dict[tuple[str, str, int], AnyReport] = field(default_factory=dict)
    again: list[AnyReport] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    deletions: int = 1 << 60
    """After so many tombstones the worker dies."""

    def __post_init__(self) -> None:
        self.models = {("quiet", version): self.watched(profile_of(version)) for version in (VERSION, OTHER)}
        self.tables: dict[str, dict[str, bytes]] = {"join": {}, "windows": {}}
        self.logs: dict[tuple[int, int], list[StubRecord]] = {(p, t): [] for p in range(SOURCES) for t in (0, 1)}
        self.truth: list[tuple[int, int, str, int]] = []  # when it comes, partition, id, of what time it is
        self._unanswered: dict[str, tuple[str, int]] = {}
        self.serial = 0
        self.restart()

    def watched(self, model: RegisteredModel) -> RegisteredModel:
        """The model with this world's windows."""
        return RegisteredModel(model.profile, Monitoring(windows=self.windows, drift=self.drift), model.registered_at)

    def register(self, version: str, seed: int) -> None:
        """Register a version anew, with another reference."""
        self.models["quiet", version] = self.watched(profile_of(version, seed))
        self.revision += 1

    def unregister(self, version: str) -> None:
        del self.models["quiet", version]
        self.revision += 1

    def get(self, model: str, version: str) -> RegisteredModel | None:
        return self.models.get((model, version))

    async def catch_up(self) -> None:
        """All is known."""

    # The workers

    def restart(self) -> None:
        """Other processes: only tables and logs are left."""
        self.epochs += 1
        epoch = self.epochs
        self.join = JoinAgent(
            self.tables["join"], self, checkpoint_seconds=0.0, now=lambda: self.clock, epoch=lambda: epoch,
            log_of=self._log_of, wall=lambda: self.clock,
        )  # fmt: skip
        self.agent = WindowsAgent(
            self.tables["windows"], self.get, partitions=SOURCES, reissue_seconds=5.0, now=lambda: self.clock,
            wall=lambda: datetime.fromtimestamp(self.clock, UTC),
        )  # fmt: skip

    def _log_of(self, topic: Topic, partition: int) -> Log:
        log = self.logs[partition, SOURCE_TOPICS.index(topic)]
        return Log(log[0].offset if log else 0, log[-1].offset + 1 if log else 0, 0)

    def _take(self, key: bytes, value: bytes | None) -> None:
        self.panes[key] = StubRecord(self.offset, value, key, round(self.clock * 1000))
        self.offset += 1

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        if topic is REPORTS:
            await self.take_reports(records)
            return
        assert topic is PANES
        for record in records:
            if record.value is None:
                self._delete(record.key or b"")
            else:
                self._take(record.key or b"", record.value)

    def _delete(self, key: bytes) -> None:
        if not self.deletions:
            raise Killed
        self.deletions -= 1
        assert self.panes[key].value is not None, f"{key!r} is deleted twice"
        self._take(key, None)

    async def take_reports(self, records: Sequence[Outgoing]) -> None:
        for record in records:
            report = msgspec.json.decode(record.value or b"", type=AnyReport)
            kind = str(report.__struct_config__.tag)
            at = (report.model_version, kind, round(report.window_end.timestamp()) // PANE - 1)
            if at in self.issued:
                self.again.append(report)
            self.issued[at] = report

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        self.rejected += rejected

    # What happens

    def serve(
        self, seconds: int, *versions: str, every: int = PANE, event_time: float | None = None,
        partitions: Sequence[int] = range(SOURCES),
    ) -> None:  # fmt: skip
        """Let time go by, with a prediction a pane and partition of each version, and read everything.

        `event_time`: what their times begin at; None: now.
        """
        start, end = round(self.clock), round(self.clock) + seconds
        self.clock = end
        shift = 0 if event_time is None else round(event_time) - start
        for when in range(start, end, every):
            for version, partition in product(versions, partitions):
                self.predict(when + shift + self.rng.randrange(PANE), partition, version, taken=when + PANE)
        self.truth.sort(key=lambda one: one[0])
        due = [one for one in self.truth if one[0] < end]
        del self.truth[: len(due)]
        for when, partition, id_, at in due:
            self._send(partition, 1, {"prediction_id": id_, "actual": "1", "timestamp": at}, id_, when)
            self._answer(id_)
        self.read()

    def _answer(self, id_: str) -> None:
        pane = self._unanswered.pop(id_, None)
        if pane is not None:
            self.made[pane[0], "outcome", pane[1]] += 1

    def predict(self, when: int, partition: int, version: str = VERSION, taken: int | None = None) -> None:
        """Send a prediction. Every second has its truth hours later; of some it is corrected after a day."""
        id_ = f"p{self.serial}"
        self.serial += 1
        event = {
            "prediction_id": id_, "model": "quiet", "model_version": version, "timestamp": when,
            "features": {"size": 1.0}, "prediction": "1", "probability": 0.7,
        }  # fmt: skip
        taken = round(self.clock) if taken is None else taken
        self._send(partition, 0, event, id_, taken)
        self.made[version, "input", when // PANE] += 1
        if self.serial % 2:
            late = round(self.windows.retention * 0.1)
            self.truth.append((taken + late, partition, id_, when + late))
            self._unanswered[id_] = version, when // PANE
            if self.serial % 7 == 0:
                late = round(self.windows.retention * 0.8)
                self.truth.append((taken + late, partition, id_, when + late))

    def _send(self, partition: int, topic: int, event: dict[str, object], id_: str, taken: int) -> None:
        log = self.logs[partition, topic]
        offset = log[-1].offset + 1 if log else 0
        log.append(StubRecord(offset, msgspec.json.encode(event), id_.encode(), taken * 1000))

    def read(self) -> None:
        """Have both agents read all that there is, as often as it takes to judge again, too."""
        for partition in range(SOURCES):
            for number, topic in enumerate(SOURCE_TOPICS):
                log = self.logs[partition, number]
                at = self.join.position(topic, partition)
                fresh = [record for record in log if record.offset >= at]
                run(self.join.handle(Batch(topic, partition, fresh, caught_up=True), self))
                del log[:-1]
            for topic in SOURCE_TOPICS:
                run(self.join.handle(Batch(topic, partition, (), caught_up=True), self))
        self.judge()

    def judge(self) -> None:
        """Have the windows' agent read what is new, and look again after a while, until nothing more is judged."""
        looks, left, before = 0, 0, 0
        while looks < 3 or left < before:
            at = self.agent.position(PANES, 0)
            fresh = sorted((r for r in self.panes.values() if r.offset >= at), key=lambda r: r.offset)
            run(self.agent.handle(Batch(PANES, 0, fresh, caught_up=True), self))
            self.clock += 6.0
            looks, before = looks + 1, left
            left = sum(len(windows.changed) for windows in self.agent._parts[0].models.values())

    def compact(self) -> None:
        """Tombstones go."""
        self.panes = {key: record for key, record in self.panes.items() if record.value is not None}

    # What must hold

    def sizes(self) -> Sizes:
        """How much there is."""
        sources = [self.join._source(partition) for partition in range(SOURCES)]
        models = self.agent._parts[0].models.values()
        return Sizes(
            topic=sum(record.value is not None for record in self.panes.values()),
            join=len(self.tables["join"]), windows=len(self.tables["windows"]),
            rows=sum(len(source.state.rows) for source in sources),
            held=sum(len(windows._inputs) + len(windows._outcomes) for windows in models),
        )  # fmt: skip

    def counted(self) -> Counter[tuple[str, str, int]]:
        """How many rows the topic's panes have."""
        found: Counter[tuple[str, str, int]] = Counter()
        for record in self.panes.values():
            event = None if record.value is None else msgspec.json.decode(record.value, type=PaneEvent)
            if isinstance(event, PanePartial):
                found[event.model_version, event.kind, round(event.pane_start) // PANE] += event.n
        return found

    def wrong_panes(self, version: str = VERSION) -> list[object]:
        """Panes in the topic with other counts than were made, and those of the retention that are not there."""
        counted, newest = self.counted(), max(pane for of, _, pane in self.made if of == version)
        oldest = newest - round(self.windows.retention) // PANE
        wrong: list[object] = [(at, n, self.made[at]) for at, n in counted.items() if n != self.made[at]]
        wanted = [at for at in self.made if at[0] == version and at[1] == "input" and at[2] > oldest]
        return wrong + [(at, "is not there") for at in wanted if at not in counted]

    def wrong_reports(self) -> list[object]:
        """Windows whose newest report counts other rows than were made by its panes, or other panes than it should.

        A window that has too few rows has as many more panes as it takes until there are enough.
        """
        wrong: list[object] = []
        for (version, kind, end), report in self.issued.items():
            if not isinstance(report, DriftReport | PerformanceReport):
                continue
            first = end - self.windows.panes + 1
            n = sum(self.made[version, "input", pane] for pane in range(first, end + 1))
            reached, more = first, n
            while more < self.drift.min_samples and end - reached + 1 < self.windows.most_panes:
                reached -= 1
                more += self.made[version, "input", reached]
            if more >= self.drift.min_samples:
                first, n = reached, more
            if (report.n, round(report.window_start.timestamp()) // PANE) != (n, first):
                wrong.append((version, kind, end, report.n, n, report.window_start))
        return wrong
