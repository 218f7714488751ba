"""The whole of Driftline: a real worker on the backlog, watched through what it publishes.

Every checkpoint of the worker writes a delta to the changelog of its table `join`, whose key and value say how far
it has come, and before that the panes and their Progress. Kafka's timestamp on them is the worker's own clock. The
first run that a worker takes ends in a checkpoint, so the oldest delta is where the clock starts: its events (at most
one run) are not counted, and start-up is left out. It stops with the Progress that completes all counts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import msgspec
import numpy as np
import psutil
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from agents.join.store import decode_delta
from app.processes.guarded import GuardedProcess
from app.settings.settings import Settings, environment
from benchmarks.curve import Step
from benchmarks.events import Counts
from benchmarks.reading import Figures, ReaderFailed, last_words
from topics.events import PaneEvent, Progress
from topics.registry import PANES, REPORTS

POLL_MS = 500
REPORTS_SECONDS = 15.0
"""How long the last reports are waited for."""


@dataclass
class Watched:
    """What has been seen of a worker; times are Kafka's timestamps in seconds of the wall clock."""

    progress: dict[int, Progress] = field(default_factory=dict)
    ended: float | None = None
    panes: int = 0
    reports: int = 0
    reports_before_end: int = 0
    last_report: float | None = None
    cpu: list[tuple[float, float]] = field(default_factory=list)
    largest_rss: int = 0
    rss: list[tuple[int, int]] = field(default_factory=list)
    """Events counted so far, bytes resident."""
    steps: list[Step] = field(default_factory=list)

    @property
    def counts(self) -> Counts:
        """Predictions counted and feedback joined so far."""
        found = self.progress.values()
        return Counts(sum(p.predictions for p in found), sum(p.feedback for p in found))

    def sample(self, process: psutil.Process) -> None:
        """Note the worker's CPU time and memory."""
        times = process.cpu_times()
        self.cpu.append((time.time(), times.user + times.system))
        self.rss.append((self.counts.events, process.memory_info().rss))
        self.largest_rss = max(self.largest_rss, self.rss[-1][1])

    def cpu_between(self, start: float, end: float) -> float:
        """CPU seconds between two moments, interpolated between samples."""
        at, used = zip(*self.cpu, strict=True)
        return float(np.interp(end, at, used) - np.interp(start, at, used))


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What one run of the worker came to."""

    figures: Figures
    reports_after: float | None
    watched: Watched


@contextmanager
def worker(settings: Settings) -> Iterator[GuardedProcess]:
    """A worker process, as `driftline worker` is."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with (settings.state_dir / "worker.log").open("ab") as log:
        process = GuardedProcess(
            [sys.executable, "-m", "app.cli", "worker"], env=environment(settings), stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.stop()


async def run(settings: Settings, wanted: Counts, seconds: float) -> Pipeline:
    """Let a worker take everything that is in the topics. Raises ReaderFailed."""
    with worker(settings) as process:
        watched = await _watch(settings, wanted, process, seconds)
    start, first = await _first_delta(settings)
    assert watched.ended is not None
    figures = Figures(wanted.events - first, watched.ended - start, watched.cpu_between(start, watched.ended))
    after = None if watched.last_report is None else watched.last_report - watched.ended
    return Pipeline(figures, after, watched)


async def _watch(settings: Settings, wanted: Counts, process: GuardedProcess, seconds: float) -> Watched:
    """Follow `panes` and `reports` until all is counted and judged. Seldom and lightly: the cores are the worker's."""
    watched = Watched()
    status = psutil.Process(process.pid)
    deadline = time.monotonic() + seconds
    async with reading(settings, [PANES.full_name(settings.prefix), REPORTS.full_name(settings.prefix)]) as consumer:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ReaderFailed(f"the worker ended: {last_words(settings.state_dir / 'worker.log')}")
            watched.sample(status)
            for partition, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                for record in records:
                    take(watched, partition.topic.endswith(REPORTS.name), record, wanted)
            if watched.ended is not None and time.time() - max(watched.last_report or 0.0, watched.ended) > 3:
                return watched
    raise ReaderFailed(f"after {seconds:.0f} s {watched.counts} of {wanted} were counted")


def take(watched: Watched, is_report: bool, record: ConsumerRecord, wanted: Counts) -> None:
    """Note a record of `panes` or `reports`."""
    when = record.timestamp / 1000
    if is_report:
        watched.reports += 1
        watched.last_report = when
        return
    watched.panes += 1
    if b'"type":"progress"' not in record.value[:40]:
        return
    event = msgspec.json.decode(record.value, type=PaneEvent)
    assert isinstance(event, Progress)
    watched.progress[event.partition] = event
    watched.steps.append(Step(when, event.partition, event.predictions + event.feedback))
    if watched.ended is None and watched.counts == wanted:
        watched.ended = when


async def _first_delta(settings: Settings) -> tuple[float, int]:
    """When the worker made its first checkpoint, and how many events it had taken by then."""
    name = f"{settings.group}-join-changelog"
    found: list[tuple[float, int]] = []
    async with reading(settings, [name]) as consumer:
        for partition in consumer.assignment():
            record = await consumer.getone(partition)
            while b"owner/" in record.key or b"@" in record.key:  # who has the partition, and of which topics
                record = await consumer.getone(partition)
            delta = decode_delta(record.value)
            found.append((record.timestamp / 1000, sum(delta.to_offsets)))
    return min(found)


@asynccontextmanager
async def reading(settings: Settings, topics: list[str]) -> AsyncIterator[AIOKafkaConsumer]:
    """All of some topics, from their start."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers, enable_auto_commit=False, auto_offset_reset="earliest",
        fetch_max_wait_ms=POLL_MS, max_partition_fetch_bytes=32 << 20,
    )  # fmt: skip
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for topic in topics for number in range(settings.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        yield consumer
    finally:
        await consumer.stop()
