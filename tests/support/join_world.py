"""The join without Kafka: owners that crash and linger, a changelog, and the newest of every pane event."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Coroutine, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from agents.join.agent import SOURCES, JoinAgent
from agents.join.pane_events import key_of
from agents.join.progress import FEEDBACK_WAIT_SECONDS
from app.core.panes.outcomes import OutcomeLayout, outcome_layout
from app.faust_batches.batch import Batch, Log
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from tests.support.join_log import PANES, PROFILES, Producer, Registry
from tests.support.join_truth import Cell, Total, Truth, truth
from tests.support.outputs import pane_events
from tests.support.reports import StubRecord
from topics.events import PaneEvent, PanePartial, Progress
from topics.registry import PANES as PANES_TOPIC
from topics.registry import Topic

T = TypeVar("T")
NEVER = 1 << 60


class Killed(Exception):
    """The owner ends here."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing; it may let others have their turn."""
    try:
        while work.send(None) is None:
            pass
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for something")


class Table(MutableMapping[str, bytes]):
    """One owner's copy of the table; what it writes goes to the changelog, at once or when it gets there."""

    def __init__(self, owner: Owner) -> None:
        self.rows: dict[str, bytes] = {}
        self._owner = owner

    def __getitem__(self, key: str) -> bytes:
        return self.rows[key]

    def __setitem__(self, key: str, value: bytes) -> None:
        self._owner.step()
        self.rows[key] = value
        self._owner.world.changelog.append((key, value))

    def __delitem__(self, key: str) -> None:
        self._owner.step()
        del self.rows[key]
        self._owner.world.changelog.append((key, None))

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class Owner:
    """A worker that has every partition. It is killed at a write or at a published event, when it is told so."""

    partitions = 3

    def __init__(self, world: World) -> None:
        self.world = world
        self.table = Table(self)
        self.steps_left = NEVER
        self.join = JoinAgent(
            self.table, world.registry, checkpoint_seconds=1.0, now=lambda: world.clock, epoch=world.next_epoch,
            log_of=lambda topic, partition: world.log_of(partition, SOURCES.index(topic)),
        )  # fmt: skip
        self.recover()

    def recover(self) -> None:
        """Have the table as the changelog has it, and everything built from it."""
        self.table.rows = {}
        for key, value in self.world.changelog:
            self.table.rows.pop(key, None)
            if value is not None:
                self.table.rows[key] = value
        self.join.forget()
        self.not_waited_for: dict[tuple[int, str], float] = {}
        self.fed = dict.fromkeys(range(self.world.producer.partitions), self.world.clock)
        self.at = {part: self.join.position(SOURCES[part[1]], part[0]) for part in self.world.producer.logs}

    def step(self) -> None:
        """Something that the world can see is about to happen."""
        if self.steps_left <= 0:
            raise Killed
        self.steps_left -= 1

    def read(self, partition: int, topic: int, most: int, *, again: int = 0) -> None:
        """Take the next records of a log, and some older ones before them."""
        log = self.world.producer.logs[partition, topic]
        start = max(0, self.at[partition, topic] - again)
        found = [record for record in log if record.offset >= start][:most]
        if topic == 1 and found and found[-1].offset >= self.at[partition, 1]:
            self.fed[partition] = self.world.clock
        if found:
            self.at[partition, topic] = max(self.at[partition, topic], found[-1].offset + 1)
        caught_up = not log or self.at[partition, topic] > log[-1].offset
        honest = caught_up and not (topic == 1 and self.world.producer.ordered)
        following = self.world.log_of(partition, topic).end if caught_up else 0
        batch = Batch(SOURCES[topic], partition, found, following=following, caught_up=honest)
        run(self.join.handle(batch, self))

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        assert topic is PANES_TOPIC
        for event in pane_events(records, self.partitions):
            self.step()
            if isinstance(event, Progress):
                self.see_feedback_read(event)
            self.world.take(event)

    def see_feedback_read(self, told: Progress) -> None:
        """Whoever hears of an event time has all feedback that was there when it was reached, or none came for long."""
        part = told.partition, told.model_version
        if told.idle or self.world.clock - self.fed[told.partition] >= FEEDBACK_WAIT_SECONDS:
            self.not_waited_for[part] = told.event_time
        if told.event_time <= self.not_waited_for.get(part, 0.0):
            return
        times = self.world.producer.reached[part]
        _, reached = times[bisect_left(times, (told.event_time, 0))]
        unread = self.world.producer.unread(told.partition, 1, self.at[told.partition, 1])
        assert all(record.timestamp > reached for record in unread)

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        self.step()
        topic = SOURCES.index(batch.topic)
        self.world.rejected.update((batch.partition, topic, one.record.offset) for one in rejected)


@dataclass
class World:
    """The logs, the changelog, what was published; the owner, and an earlier one that does not know yet."""

    rng: random.Random
    ordered: bool = False
    windows: dict[str, float] = field(default_factory=lambda: {"retention": 1e7, "lateness": 200.0})
    silence: float | None = None
    clock: float = 0.0
    epochs: int = 0
    changelog: list[tuple[str, bytes | None]] = field(default_factory=list)
    newest: dict[bytes, PaneEvent] = field(default_factory=dict)
    rejected: set[tuple[int, int, int]] = field(default_factory=set)
    zombie: Owner | None = None

    def __post_init__(self) -> None:
        self.producer = Producer(self.rng, ordered=self.ordered)
        self.registry = Registry(self.silence, **self.windows)
        self.owner = Owner(self)
        self.durable = 0

    def next_epoch(self) -> int:
        self.epochs += 1
        return self.epochs

    def log_of(self, partition: int, topic: int) -> Log:
        """A log as the broker has it; nothing was committed of it."""
        log = self.producer.logs[partition, topic]
        return Log(0, log[-1].offset + 1 if log else 0, 0)

    def take(self, event: PaneEvent) -> None:
        """What `panes` keeps of it: the highest revision, and of two equal ones the same."""
        key = key_of(event)
        known = self.newest.get(key)
        if known is not None and isinstance(event, PanePartial) and event.revision == known.revision:
            assert event == known
        if known is None or event.revision >= known.revision:
            self.newest[key] = event

    # What can happen

    def produce(self, n: int) -> None:
        for _ in range(n):
            if self.rng.random() < 0.55:
                self.producer.predict()
            else:
                self.producer.answer()

    def read(self, partition: int, topic: int, most: int, again: int = 0) -> None:
        try:
            self.owner.read(partition, topic, most, again=again)
        except Killed:
            self.crash(0)

    def wait(self, seconds: float) -> None:
        self.clock += seconds

    def doom(self, steps: int) -> None:
        """The owner is to be killed at this step from now."""
        self.owner.steps_left = steps

    def crash(self, lost: int, *, lingers: bool = False) -> None:
        """Another owner takes over; the last writes may not have reached the changelog, or come late."""
        kept = max(self.durable, len(self.changelog) - lost)
        del self.changelog[kept:]
        self.durable = kept
        self.owner.steps_left = NEVER
        self.zombie = self.owner if lingers and not lost else None
        self.owner = Owner(self)

    def rebalance(self) -> None:
        """The same owner gets everything back."""
        self.durable = len(self.changelog)
        self.owner.steps_left = NEVER
        self.owner.recover()

    def linger(self, partition: int, topic: int, most: int) -> None:
        """The earlier owner goes on for a while: what it publishes and writes is late.

        Where predictions expire it has one checkpoint: it could come to forget what its heirs have yet to read.
        """
        if self.zombie is not None:
            written = len(self.changelog)
            self.zombie.read(partition, topic, most)
            if self.ordered and len(self.changelog) > written:
                self.zombie = None

    def settle(self) -> None:
        """Read every log to its end, and save."""
        self.owner.steps_left = NEVER
        for partition, topic in self.producer.logs:
            self.owner.read(partition, topic, 1 << 30)
        self.clock += 2.0
        for partition in range(self.producer.partitions):
            self.owner.read(partition, 0, 0)

    # What must hold then

    def unread(self) -> list[StubRecord]:
        """Records that the owner has yet to read."""
        return [r for part in self.producer.logs for r in self.producer.unread(*part, self.owner.at[part])]

    def differences(self) -> list[object]:
        """Where the newest of everything that was published is not what the logs come to."""
        wanted = truth(self.producer, self.registry)
        totals = {cell_of(e): total_of(e) for e in self.newest.values() if isinstance(e, PanePartial)}
        found = {cell: total for cell, total in totals.items() if total.n or any(total.slots.values())}
        wrong: list[object] = [
            (cell, found.get(cell), wanted.totals.get(cell))
            for cell in found.keys() | wanted.totals.keys()
            if found.get(cell) != wanted.totals.get(cell)
        ]
        if self.rejected != wanted.rejected:
            wrong.append(("rejected", self.rejected ^ wanted.rejected))
        return wrong + self._progress_differences(wanted)

    def _progress_differences(self, wanted: Truth) -> list[object]:
        progress = {(e.model_version, e.partition): e for e in self.newest.values() if isinstance(e, Progress)}
        wrong: list[object] = []
        for key in progress.keys() | wanted.tallies.keys():
            event, tally = progress.get(key), wanted.tallies.get(key)
            if event is None or tally is None:
                wrong.append((key, event, tally))
                continue
            settled = float("-inf") if event.settled is None else event.settled // PANES[key[0]] * PANES[key[0]]
            expired = sum(end <= settled for end in tally.unjoined)
            counted = (event.predictions, event.feedback, event.duplicates, event.late, event.expired)
            wholly = (tally.predictions, tally.feedback, tally.duplicates, tally.late, expired)
            if counted != wholly or event.event_time < tally.newest:
                wrong.append((event, tally, expired))
        return wrong


def cell_of(event: PanePartial) -> Cell:
    """Which pane it is of."""
    assert event.profile_id == PROFILES[event.model_version].profile_id
    return (event.model_version, event.kind, event.pane_start, event.partition)


def total_of(event: PanePartial) -> Total:
    """What it counts."""
    slots = np.frombuffer(event.indices, "<i4").tolist()
    counts = np.frombuffer(event.counts, "<i8").tolist()
    total = Total(event.n, sums=np.frombuffer(event.sums, "<i8").tolist())
    total.slots.update(dict(zip(slots, counts, strict=True)))
    if event.kind == "outcome":
        _take_exact_sums(total, outcome_layout(PROFILES[event.model_version]))
    for tally in event.names:
        total.names.update({(tally.column, name): count for name, count in tally.names.items()})
    return total


def _take_exact_sums(total: Total, layout: OutcomeLayout) -> None:
    """Read the limbs of exact sums as the whole numbers that they stand for."""
    widths = (66, 132, 66, 132) if layout.k == 0 else (66, 66) if layout.grid else ()
    start = layout.limbs.start
    for width in widths:
        limbs = [total.slots.pop(start + i, 0) for i in range(width)]
        total.sums_of[start] = sum(limb << (32 * i) for i, limb in enumerate(limbs))
        start += width
