"""Whether more workers on one machine cost more for each event: the sum of their CPU time, over the same backlog.

For one, two and four workers: they start on empty topics, and once each has its share of the partitions they are
stopped (SIGSTOP) while the backlog is sent, so that what is measured is the reading of it and neither start-up nor
rebalances. What they have used from SIGCONT until all is counted, divided by the events, must not grow. With more
workers than cores the rate cannot grow as well, and is told for completeness.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from app.kafka.topics import ensure_topics
from app.processes.guarded import GuardedProcess
from app.settings.settings import Settings
from benchmarks.events import Counts, counts_of, register_model, send_events
from benchmarks.harness import child, parser_of, run
from benchmarks.pipeline import Watched, reading, take
from benchmarks.reading import Figures, ReaderFailed, last_words
from topics.registry import PANES

MOST_SECONDS = 600.0
SHARED_SECONDS = 240.0
SESSION_SECONDS = 90.0
"""Longer than the workers are stopped, so that none is thought dead; they hear of a rebalance in a quarter of it."""
STEADY_SECONDS = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; answers the exit status."""
    parser = parser_of("scale", __doc__)
    parser.add_argument("--events", type=int, default=900_000, help="of each backlog (%(default)s)")
    parser.add_argument("--workers", type=_numbers, default="1,2,4", help="separated by commas (%(default)s)")
    parser.add_argument("--reference", type=int, default=10_000, help="rows of the reference (%(default)s)")
    return run(parser, arguments, _measure, partitions=8, session_seconds=SESSION_SECONDS)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


async def _measure(settings: Settings, options: argparse.Namespace) -> None:
    found: dict[int, Figures] = {}
    for workers in options.workers:
        own = settings.model_copy(
            update={
                "prefix": f"{settings.prefix}{workers}.",
                "group": f"{settings.group}-{workers}",
                "state_dir": settings.state_dir / str(workers),
            }
        )
        found[workers] = one = await _workers(own, workers, counts_of(options.events), options.reference)
        print(f"  {workers} workers: {one.rate:,.0f} events/s, {one.microseconds:.1f} µs CPU an event", flush=True)
    least, most = found[min(found)], found[max(found)]
    told = ", ".join(f"{workers}: {one.microseconds:.1f} µs" for workers, one in found.items())
    print(f"scale {told}; CPU an event with {max(found)} workers / with {min(found)} "
          f"{most.microseconds / least.microseconds:.2f}", flush=True)  # fmt: skip


async def _workers(settings: Settings, workers: int, wanted: Counts, reference: int) -> Figures:
    """So many workers on a backlog of `wanted`; their CPU time together. Raises ReaderFailed."""
    await ensure_topics(settings)
    await register_model(settings, reference)
    with ExitStack() as running:
        processes = []
        for number in range(workers):
            own = settings.model_copy(update={"state_dir": settings.state_dir / str(number)})
            processes.append(running.enter_context(child(own, "worker", "worker.log")))
        await _shared(settings, processes)
        _signal(processes, signal.SIGSTOP)
        try:
            await send_events(settings, wanted, lambda _: None)
        finally:
            _signal(processes, signal.SIGCONT)
        before, started = _cpu(processes), time.monotonic()
        await _until(settings, wanted, processes)
        return Figures(wanted.events, time.monotonic() - started, _cpu(processes) - before)


async def _shared(settings: Settings, processes: Sequence[GuardedProcess]) -> None:
    """Wait until every worker is in the group, and the group has been steady for a while. Raises ReaderFailed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        deadline, since, known = time.monotonic() + SHARED_SECONDS, time.monotonic(), ""
        while time.monotonic() < deadline:
            _check(settings, processes)
            state, members = await _group(admin, settings.group)
            now = f"{state} {members}"
            if now != known or state != "Stable" or len(members) != len(processes):
                known, since = now, time.monotonic()
            elif time.monotonic() - since > STEADY_SECONDS:
                return
            await asyncio.sleep(0.5)
    finally:
        await admin.close()
    raise ReaderFailed(f"after {SHARED_SECONDS:.0f} s the group of {len(processes)} workers is: {known}")


async def _group(admin: AIOKafkaAdminClient, name: str) -> tuple[str, list[str]]:
    """A group's state and its members' ids; a broker that has had no group yet knows no coordinator."""
    try:
        (answer,) = await admin.describe_consumer_groups([name])
    except GroupCoordinatorNotAvailableError:
        return "none", []
    (_, _, state, _, _, members, *_) = answer.groups[0]
    return state, sorted(member[0] for member in members)


async def _until(settings: Settings, wanted: Counts, processes: Sequence[GuardedProcess]) -> None:
    watched = Watched()
    deadline = time.monotonic() + MOST_SECONDS
    async with reading(settings, [PANES.full_name(settings.prefix)]) as consumer:
        while time.monotonic() < deadline:
            _check(settings, processes)
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    take(watched, False, record, wanted)
            if watched.counts == wanted:
                return
    raise ReaderFailed(f"after {MOST_SECONDS:.0f} s {watched.counts} of {wanted} were counted")


def _check(settings: Settings, processes: Sequence[GuardedProcess]) -> None:
    for number, process in enumerate(processes):
        if process.poll() is not None:
            log = settings.state_dir / str(number) / "worker.log"
            raise ReaderFailed(f"worker {number} ended: {last_words(log)}")


def _signal(processes: Sequence[GuardedProcess], number: signal.Signals) -> None:
    for process in processes:
        process.send_signal(number)


def _cpu(processes: Sequence[GuardedProcess]) -> float:
    times = [psutil.Process(process.pid).cpu_times() for process in processes]
    return float(sum(one.user + one.system for one in times))


if __name__ == "__main__":
    sys.exit(main())
