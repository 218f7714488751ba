"""Reports of a worker about itself: its lag and its dead letters, as reports like any other.

Alerts are made of the reports on each partition. When the worker is lost, the next owner of its partitions reports on
them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from agents.agent import Agent, AgentDecorator
from agents.output import Output
from app.alerting.events.self_monitoring import SELF
from app.faust_batches.batch import Batch
from app.ingest.decoding import Record, Rejected
from app.kafka.producer import Outgoing
from app.telemetry import tracing
from topics.events import MonitorReport, PartitionStanding
from topics.partition import partition_of
from topics.registry import REPORTS, Topic

EVERY = 15.0
"""Seconds of the wall clock that a report covers, unless the settings differ."""


@dataclass(slots=True)
class SelfReport:
    """Counts of one worker until the next report. `wall`: seconds since the epoch."""

    group: str
    worker: str
    wall: Callable[[], float] = time.time
    every: float = EVERY
    drains: bool = False
    held: set[int] = field(default_factory=set)
    records: Counter[int] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    dead_in: Counter[int] = field(default_factory=Counter)
    lag: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)
    since: float = 0.0
    reported: bool = False

    def __post_init__(self) -> None:
        self.since = self.wall()

    def read(
        self, topic: str, partition: int, run: Sequence[Record], end: int | None, following: int | None = None
    ) -> None:
        """Note a batch, or a tick, of a partition whose log ends before offset `end`; `following`: the next to read.

        A tick shows that the partition is assigned, and that nothing is left where it has been read to its end.
        """
        self.held.add(partition)
        self.records[partition] += len(run)
        if run:
            self.lag[topic, partition] = max(0, (end or 0) - run[-1].offset - 1), run[-1].timestamp / 1000.0
        if following is None:
            return
        known = self.lag.get((topic, partition))
        if known is not None:
            self.lag[topic, partition] = min(known[0], max(0, (end or 0) - following)), known[1]
        elif end is not None and following >= end:
            self.lag[topic, partition] = 0, self.wall()

    def rejected(self, rejected: Sequence[Rejected], partition: int) -> None:
        """Note dead letters of a partition by their reason, without the names and values in it."""
        self.dead.update(one.reason.partition(":")[0][:80] for one in rejected)
        self.dead_in[partition] += len(rejected)

    def forget(self, partitions: Iterable[int] | None = None) -> None:
        """Forget partitions (None: all) that other workers may have now."""
        gone = set(self.held) if partitions is None else set(partitions)
        self.lag = {key: found for key, found in self.lag.items() if partitions is not None and key[1] not in gone}
        self.held -= gone

    def due(self) -> MonitorReport | None:
        """Return the report on the time since the last one, if it is due; None if not. The first is due at once."""
        now = self.wall()
        if self.reported and now - self.since < self.every:
            return None
        self.reported = True
        lag: Counter[str] = Counter()
        for (topic, _), (left, _) in self.lag.items():
            lag[topic] += left
        behind = [now - recorded for left, recorded in self.lag.values() if left]
        report = MonitorReport(
            model=SELF, model_version=self.group, profile_id="", revision=1, n=self.records.total(), sufficient=True,
            window_start=datetime.fromtimestamp(self.since, UTC), window_end=datetime.fromtimestamp(now, UTC),
            emitted_at=datetime.fromtimestamp(now, UTC), worker=self.worker, lag=dict(lag),
            behind_seconds=max(0.0, *behind) if behind else 0.0, dead_letters=dict(self.dead),
            drains=self.drains,
            partitions={str(partition): self._standing(partition, now) for partition in sorted(self.held)},
        )  # fmt: skip
        self.since, self.records, self.dead, self.dead_in = now, Counter(), Counter(), Counter()
        return report

    def _standing(self, partition: int, now: float) -> PartitionStanding:
        known = {topic: found for (topic, number), found in self.lag.items() if number == partition}
        behind = [max(0.0, now - recorded) if left else 0.0 for left, recorded in known.values()]
        return PartitionStanding(
            n=self.records[partition], lag={topic: left for topic, (left, _) in known.items()},
            behind_seconds=max(behind, default=None), dead_letters=self.dead_in[partition],
        )  # fmt: skip


class SelfReporting(AgentDecorator):
    """Agent whose reading progress is noted for the worker's reports.

    `end_of` returns the end of a partition's log, as far as is known. With `reports`, this agent also publishes the
    worker's reports when they are due: to `to`, or else to the agent's output.
    """

    def __init__(
        self,
        agent: Agent,
        monitor: SelfReport,
        end_of: Callable[[Topic, int], int | None],
        *,
        reports: bool = False,
        to: Output | None = None,
    ) -> None:
        super().__init__(agent)
        self._monitor = monitor
        self._end_of = end_of
        self._reports = reports
        self._to = to

    async def handle(self, batch: Batch, out: Output) -> None:
        await self._agent.handle(batch, out)
        topic, partition = batch.topic, batch.partition
        end = self._end_of(topic, partition)
        self._monitor.read(topic.name, partition, batch.records, end, batch.following)
        report = self._monitor.due() if self._reports else None
        if report is not None:
            await _publish(report, self._to or out)

    def forget(self, partitions: Collection[int]) -> None:
        self._agent.forget(partitions)
        self._monitor.forget(partitions)


async def _publish(report: MonitorReport, out: Output) -> None:
    key = f"{report.model}/{report.model_version}/monitor/{report.worker}".encode()
    partition = partition_of(report.model, report.model_version, out.partitions)
    with tracing.aside():
        await out.publish(REPORTS, [Outgoing(key, msgspec.json.encode(report), partition)])
