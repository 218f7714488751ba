"""How long a worker takes to come back with what waits: from its start until it reads on, with the state recovered.

A worker takes predictions without feedback, is killed with SIGKILL, some more predictions arrive, and a new worker is
started. The clock runs from the start of its process (imports included) until it has published counts with the new
ones in them. Part of that is Kafka's: it gives the partitions of a worker that was killed to another only when the
session is over (`session_seconds`, 10). Twice: with deltas as a backlog makes them (up to 20,000 records each), and
with small ones, as live traffic makes them (`--live` predictions each: the checkpoint of half a second at twice that
many a second and partition).
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.client_options import client_options
from app.kafka.topics import ensure_topics
from app.processes.guarded import GuardedProcess
from app.replay.send import ReplaySender
from app.settings.settings import Settings
from benchmarks.events import Counts, predictions, register_model
from benchmarks.harness import child, parser_of, run
from benchmarks.pipeline import Watched, reading, take
from benchmarks.reading import ReaderFailed, last_words
from topics.registry import PANES, PREDICTIONS, REPORTS

MOST_SECONDS = 900.0
MORE = 4000
"""Predictions that arrive while no worker runs."""
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Changelog:
    """The join's changelog: records and bytes of keys and values."""

    records: int
    size: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; answers the exit status."""
    parser = parser_of("restart", __doc__)
    parser.add_argument("--pending", type=int, default=1_000_000, help="predictions that wait (%(default)s)")
    parser.add_argument("--live", type=int, default=250, help="predictions in a small delta (%(default)s)")
    parser.add_argument("--reference", type=int, default=10_000, help="rows of the reference (%(default)s)")
    return run(parser, arguments, _measure, log_level="INFO")


async def _measure(settings: Settings, options: argparse.Namespace) -> None:
    for name, changes in (
        ("backlog", {}),
        ("live", {"max_batch_records": options.live, "checkpoint_seconds": 1e-6}),  # a checkpoint after every run
    ):
        own = settings.model_copy(
            update={
                "prefix": f"{settings.prefix}{name}.",
                "group": f"{settings.group}-{name}",
                "state_dir": settings.state_dir / name,
            }
        )
        await ensure_topics(own)
        await register_model(own, options.reference)
        await _send(own, options.pending, 0)
        with child(own.model_copy(update=changes), "worker", "first.log") as process:
            peak = await _until(own, Counts(options.pending, 0), process, "first.log")
            process.send_signal(signal.SIGKILL)
        changelog = await _changelog(own)
        await _send(own, MORE, options.pending)
        started = time.time()
        with child(own, "worker", "second.log") as process:
            resident = await _until(own, Counts(options.pending + MORE, 0), process, "second.log")
            ended = time.time()
        told = [line for line in (own.state_dir / "second.log").read_text().splitlines() if "recover" in line]
        print("\n".join(f"  {line}" for line in told))
        began = min(_when(line) for line in told if "recovering:" in line)
        print(f"restart {name}: {options.pending:,} pending predictions in {changelog.records:,} changelog records of "
              f"{changelog.size / options.pending:.0f} bytes a prediction; reads on after {ended - started:.1f} s: "
              f"{began - started:.1f} to start and be given the partitions, {ended - began:.1f} to recover; "
              f"{resident / 2**20:.0f} MiB resident ({peak / 2**20:.0f} before)", flush=True)  # fmt: skip


async def _send(settings: Settings, n: int, since: int) -> None:
    assert settings.bootstrap_servers is not None
    async with ReplaySender(client_options(settings)) as sender:
        for chunk in predictions(n, since):
            await sender.send(PREDICTIONS.full_name(settings.prefix), chunk.keys, chunk.values)


async def _until(settings: Settings, wanted: Counts, process: GuardedProcess, log: str) -> int:
    """Wait until a worker has counted so much; answers its largest resident memory. Raises ReaderFailed."""
    watched, status = Watched(), psutil.Process(process.pid)
    deadline = time.monotonic() + MOST_SECONDS
    async with reading(settings, [PANES.full_name(settings.prefix)]) as consumer:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ReaderFailed(f"the worker ended: {last_words(settings.state_dir / log)}")
            watched.sample(status)
            for partition, records in (await consumer.getmany(timeout_ms=round(POLL_SECONDS * 1000))).items():
                for record in records:
                    take(watched, partition.topic.endswith(REPORTS.name), record, wanted)
            if watched.counts == wanted:
                return watched.largest_rss
    raise ReaderFailed(f"after {MOST_SECONDS:.0f} s {watched.counts} of {wanted} were counted")


async def _changelog(settings: Settings) -> Changelog:
    """How much a recovery has to read."""
    name, records, size = f"{settings.group}-join-changelog", 0, 0
    async with reading(settings, [name]) as consumer:
        ends = await consumer.end_offsets([TopicPartition(name, p) for p in range(settings.partitions)])
        while await _behind(consumer, ends):
            for found in (await consumer.getmany(timeout_ms=200)).values():
                records += len(found)
                size += sum(len(record.key or b"") + len(record.value or b"") for record in found)
    return Changelog(records, size)


def _when(line: str) -> float:
    """The time of a line of the log."""
    return datetime.strptime(" ".join(line.split()[:2]), "%Y-%m-%d %H:%M:%S.%f").astimezone().timestamp()


async def _behind(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    return any([await consumer.position(partition) < end for partition, end in ends.items()])


if __name__ == "__main__":
    sys.exit(main())
