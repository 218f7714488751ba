"""The worker of itself: how far behind it reads, and what it sends to the dead letters, as reports like any other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.alerting.monitor import SELF
from app.ingest.decoding import Record, Rejected
from topics.events import MonitorReport

EVERY = 15.0
"""Seconds of the wall clock that a report is about."""


@dataclass(slots=True)
class SelfMonitor:
    """What one worker notes of itself until the next report. `wall`: seconds since the epoch."""

    group: str
    worker: str
    wall: Callable[[], float] = time.time
    records: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    lag: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)
    since: float = 0.0

    def __post_init__(self) -> None:
        self.since = self.wall()

    def read(
        self, topic: str, partition: int, run: Sequence[Record], end: int | None, following: int | None = None
    ) -> None:
        """Note a run, or a tick, of a partition whose log ends before offset `end`; `following`: the next to read."""
        self.records += len(run)
        if run:
            self.lag[topic, partition] = max(0, (end or 0) - run[-1].offset - 1), run[-1].timestamp / 1000.0
        known = self.lag.get((topic, partition))
        if known is not None and following is not None:
            self.lag[topic, partition] = min(known[0], max(0, (end or 0) - following)), known[1]

    def rejected(self, rejected: Sequence[Rejected]) -> None:
        """Note dead letters by their reason, without the names and values in it."""
        self.dead.update(one.reason.partition(":")[0][:80] for one in rejected)

    def forget(self) -> None:
        """Other workers may have the partitions now."""
        self.lag.clear()

    def due(self) -> MonitorReport | None:
        """The report of the time since the last one, once that is long enough."""
        now = self.wall()
        if now - self.since < EVERY:
            return None
        lag: Counter[str] = Counter()
        for (topic, _), (left, _) in self.lag.items():
            lag[topic] += left
        behind = [now - recorded for left, recorded in self.lag.values() if left]
        report = MonitorReport(
            model=SELF, model_version=self.group, profile_id="", revision=1, n=self.records, sufficient=True,
            window_start=datetime.fromtimestamp(self.since, UTC), window_end=datetime.fromtimestamp(now, UTC),
            emitted_at=datetime.fromtimestamp(now, UTC), worker=self.worker, lag=dict(lag),
            behind_seconds=max(0.0, *behind) if behind else 0.0, dead_letters=dict(self.dead),
        )  # fmt: skip
        self.since, self.records, self.dead = now, 0, Counter()
        return report
