"""Where a worker's time goes for each event: the join fed from memory, without Kafka and Faust.

The same events as `benchmarks.throughput`, one partition, runs of 5,000 records, a checkpoint every 20,000 records.
Prints microseconds of each step for each event; `--profile` prints cProfile's table instead.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agents.join.agent import SOURCES, JoinAgent
from app.faust_batches.batch import Batch
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from app.registration.models_table import RegisteredModel
from app.registration.profiling import profile_of
from app.settings.settings import Settings
from benchmarks.events import MODEL, VERSION, counts_of, feedback, frame, monitoring, predictions
from topics.registry import Topic

RUN: int = Settings.model_fields["max_batch_records"].default


@dataclass(slots=True)
class Record:
    """A Kafka record in memory."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class OneModel:
    """The view of registered models, with one."""

    revision = 1

    def __init__(self, found: RegisteredModel) -> None:
        self._found = found

    def get(self, model: str, version: str) -> RegisteredModel | None:
        """The one."""
        return self._found

    async def catch_up(self) -> None:
        """Nothing more will come."""


class Timed:
    """Runs of predictions and feedback through a join; seconds spent on each."""

    partitions = 1

    def __init__(self, reference: int, partitions: int = 0) -> None:
        """`partitions`: of the topics; 1: each key's partition is computed, and all are right. 0: none is."""
        file = monitoring()
        table = frame(reference, seed=1).drop(columns=["prediction_id", "timestamp", "answered_at"])
        self.found = RegisteredModel(profile_of(MODEL, VERSION, table, file), file.monitoring, datetime.now(UTC))
        self.table: dict[str, bytes] = {}
        self.join = JoinAgent(self.table, OneModel(self.found), checkpoint_seconds=1e9, partitions=partitions)
        self.published = 0

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        """Count what is sent; it is encoded by then."""
        self.published += sum(len(record.key or b"") + len(record.value or b"") for record in records)

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        """Nothing is to be rejected."""
        raise AssertionError(rejected[0].reason)

    async def take(self, topic: int, run: Sequence[Record]) -> None:
        """One run."""
        await self.join.handle(Batch(SOURCES[topic], 0, run), self)


def runs(events: int) -> Iterator[tuple[int, list[Record]]]:
    """Runs of predictions, and those of feedback among them, both in order."""
    n = counts_of(events).predictions
    flat = [
        [(k, v) for chunk in chunks for k, v in zip(chunk.keys, chunk.values, strict=True)]
        for chunks in (predictions(n), feedback(n))
    ]
    for i in range(0, n, RUN):
        for topic, size in ((0, RUN), (1, RUN // 2)):
            first = i * size // RUN
            part = flat[topic][first : first + size]
            if part:
                yield topic, [Record(first + j, 0, k, v, ()) for j, (k, v) in enumerate(part)]


async def _through(timed: Timed, made: list[tuple[int, list[Record]]]) -> list[float]:
    seconds = [0.0, 0.0]
    for topic, run in made:
        started = time.process_time()
        await timed.take(topic, run)
        seconds[topic] += time.process_time() - started
    return seconds


def _partition_check(reference: int, made: list[tuple[int, list[Record]]], times: int = 7) -> None:
    """Print what it costs to look where each key leads: the same events with and without it, in turns."""
    spent: dict[int, list[float]] = {0: [], 1: []}
    for i in range(2 * times):
        partitions = (i + i // 2) % 2
        spent[partitions].append(sum(asyncio.run(_through(Timed(reference, partitions), made))))
    without, looked = (min(spent[partitions]) for partitions in (0, 1))
    print(
        f"with the check of partitions {looked / without:.3f} times the CPU without it ({times} runs each, the least)"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=150_000, help="predictions and feedback together (%(default)s)")
    parser.add_argument("--reference", type=int, default=10_000, help="rows of the reference (%(default)s)")
    parser.add_argument("--profile", action="store_true", help="print cProfile's table")
    parser.add_argument("--partition-check", action="store_true", help="print what the check of partitions costs")
    options = parser.parse_args()
    made = list(runs(options.events))
    if options.partition_check:
        _partition_check(options.reference, made)
        return
    timed = Timed(options.reference)
    if options.profile:
        profile = cProfile.Profile()
        profile.runcall(asyncio.run, _through(timed, made))
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
        return
    seconds = asyncio.run(_through(timed, made))
    counts = [sum(len(run) for topic, run in made if topic == number) for number in (0, 1)]
    for name, spent, n in zip(("prediction", "feedback"), seconds, counts, strict=True):
        print(f"{name:<11} {spent / n * 1e6:6.2f} µs each ({n:,})")
    print(f"{'event':<11} {sum(seconds) / sum(counts) * 1e6:6.2f} µs each")
    written = sum(map(len, timed.table.values()))
    print(f"per event {timed.published / sum(counts):.0f} bytes published, {written / sum(counts):.0f} bytes of deltas")


if __name__ == "__main__":
    main()
