"""Workers according to their own reports: how far behind they read, and which records they could not read."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from app.read_model.not_counted import IntakeView, NotCounted
from topics.events import MonitorReport

MAX_REPORTS = 1000
"""Reports of all workers that are kept for the time line: four hours of one worker."""
MAX_REASONS = 100
SILENT = 60.0
"""Seconds without a report after which a worker counts as silent: it has ended or hangs."""
FORGOTTEN = timedelta(days=1)


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """Newest report of one worker. `rate`: records a second."""

    worker: str
    group: str
    at: datetime
    silent: bool
    rate: float
    behind_seconds: float
    lag: dict[str, int]


class DeadLetters(msgspec.Struct, frozen=True, kw_only=True):
    """Records that were set aside for one reason, as far back as reports are kept."""

    reason: str
    count: int
    first: datetime
    last: datetime


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """Records that one worker had still to read at a moment."""

    at: datetime
    worker: str
    records: int
    behind_seconds: float


class Monitored(msgspec.Struct, frozen=True, kw_only=True):
    """State of all workers. `lag`: records still to be read, by topic, of the workers that are not silent."""

    workers: list[Worker]
    lag: dict[str, int]
    behind_seconds: float
    over_time: list[Lag]
    dead_letters: list[DeadLetters]
    not_counted: NotCounted = NotCounted()


class Workers:
    """Reports of all workers, bounded.

    `silent`: seconds after which a worker counts as silent; `now`: a monotonic clock.
    """

    def __init__(self, silent: float = SILENT, now: Callable[[], float] = time.monotonic) -> None:
        self.silent_seconds = silent
        self._silent = timedelta(seconds=silent)
        self._now = now
        self._heard_at: float | None = None
        self.live = False
        """True while reports arrive as they are made; then their age is measured by this process's clock only."""
        self._newest: dict[tuple[str, str], MonitorReport] = {}
        self._new: dict[tuple[str, str], datetime] = {}  # starts of workers that replaced no other yet
        self._lags: deque[Lag] = deque(maxlen=MAX_REPORTS)
        self._dead: dict[str, DeadLetters] = {}
        self.intake = IntakeView()

    def take(self, report: MonitorReport) -> bool:
        """Add a report. The reports of one worker come in order."""
        if not report.drains:
            age = 0.0 if self.live else max(0.0, (datetime.now(UTC) - report.window_end).total_seconds())
            heard_at = self._now() - age
            self._heard_at = heard_at if self._heard_at is None else max(heard_at, self._heard_at)
        key = (report.model_version, report.worker)
        if key not in self._newest:
            self._new[key] = report.window_start
        self._newest[key] = report
        waiting = sum(report.lag.values())
        self._lags.append(
            Lag(at=report.window_end, worker=report.worker, records=waiting, behind_seconds=report.behind_seconds)
        )
        for reason, count in report.dead_letters.items():
            self._add(reason, count, report.window_end)
        return True

    @property
    def unheard(self) -> str:
        """Return why no worker is available; empty where one reported recently."""
        if self._heard_at is None:
            return "no worker has reported yet: start one (driftline worker)"
        silence = self._now() - self._heard_at
        if silence < self.silent_seconds:
            return ""
        return f"no worker has reported for {silence:.0f} s (worker_silent_seconds: {self.silent_seconds:g})"

    def _add(self, reason: str, count: int, at: datetime) -> None:
        if reason not in self._dead and len(self._dead) >= MAX_REASONS:
            reason = "other reasons"
        known = self._dead.get(reason) or DeadLetters(reason=reason, count=0, first=at, last=at)
        self._dead[reason] = DeadLetters(
            reason=reason, count=known.count + count, first=min(known.first, at), last=max(known.last, at)
        )

    def now(self, now: datetime, wanted: Callable[[str], bool] | None = None) -> Monitored:
        """Return the state of the workers at a moment, without workers that ended long ago.

        With `wanted`, only models with wanted names are included. The reasons of dead letters, which may name any
        model, are left out then.
        """
        self._forget(now)
        workers = [
            Worker(
                worker=report.worker,
                group=report.model_version,
                at=report.window_end,
                silent=now - report.window_end > self._silent,
                rate=report.n / max((report.window_end - report.window_start).total_seconds(), 1e-9),
                behind_seconds=report.behind_seconds,
                lag=report.lag,
            )
            for report in self._newest.values()
        ]
        lag: Counter[str] = Counter()
        for worker in workers:
            lag.update({} if worker.silent else worker.lag)
        return Monitored(
            workers=sorted(workers, key=lambda worker: (worker.silent, worker.group, worker.worker)),
            lag=dict(sorted(lag.items())),
            behind_seconds=max((worker.behind_seconds for worker in workers if not worker.silent), default=0.0),
            over_time=sorted(self._lags, key=lambda lag: lag.at),
            dead_letters=[] if wanted else sorted(self._dead.values(), key=lambda letters: -letters.count),
            not_counted=self.intake.now(wanted),
        )

    def _forget(self, now: datetime) -> None:
        """Remove workers that ended long ago.

        Also remove, for each new worker, one silent worker that it replaced on its host.
        """
        for key in [key for key, report in self._newest.items() if now - report.window_end > FORGOTTEN]:
            self._drop(key)
        for new, since in sorted(self._new.items(), key=lambda item: item[1]):
            left = [
                (report.window_end, key)
                for key, report in self._newest.items()
                if report.window_end < since and now - report.window_end > self._silent and _place(key) == _place(new)
            ]
            if left:
                self._drop(min(left)[1])
                del self._new[new]

    def _drop(self, key: tuple[str, str]) -> None:
        del self._newest[key]
        self._new.pop(key, None)


def _place(key: tuple[str, str]) -> tuple[str, str]:
    """Return the consumer group, and the host of a worker named `host:process`."""
    group, worker = key
    return group, worker.rpartition(":")[0] or worker
