"""How fast one API process takes events that Kafka acknowledges, and how long a single one waits.

Batches: connections that send one batch after another as fast as they are answered. Singles: requests that are due at
a fixed rate whether or not earlier ones have been answered (open loop), their time counted from when they were due. In
the end the broker is asked whether it has exactly what was answered with 202. Client and broker share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from itertools import cycle

import numpy as np
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.topics import ensure_topics
from app.processes.guarded import GuardedProcess
from app.replay.encode import encode_predictions
from app.settings.settings import Settings
from benchmarks.client import Connection, post, until_ready
from benchmarks.events import COLUMNS, MODEL, VERSION, frame
from benchmarks.harness import child, free_port, parser_of, run
from benchmarks.reading import ReaderFailed
from topics.registry import PREDICTIONS

BODIES = 40
WARM_SECONDS = 1.5
IN_FLIGHT = 64
"""Connections for singles: more are never busy at once unless the API is overwhelmed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; answers the exit status."""
    parser = parser_of("ingress", __doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each part (%(default)s)")
    parser.add_argument("--batch", type=int, default=500, help="events in a batch (%(default)s)")
    parser.add_argument("--connections", type=int, default=4, help="that send batches (%(default)s)")
    parser.add_argument("--rate", type=int, default=300, help="single requests a second (%(default)s)")
    return run(parser, arguments, _measure, api_port=free_port())


async def _measure(settings: Settings, options: argparse.Namespace) -> None:
    await ensure_topics(settings)
    batches, singles = _requests(settings, options.batch)
    with child(settings, "api", "api.log") as process:
        await until_ready(settings, process)
        await _batches(settings, batches, options, WARM_SECONDS)
        before = await _in_kafka(settings)
        cpu, started = _cpu(process), time.monotonic()
        waits = await _batches(settings, batches, options, options.seconds)
        seconds, spent = time.monotonic() - started, _cpu(process) - cpu
        events = len(waits) * options.batch
        print(f"  batches of {options.batch}: {events:,} events in {seconds:.1f} s over {options.connections} "
              f"connections; answered within p50 {_ms(waits, 50)}, p99 {_ms(waits, 99)}", flush=True)  # fmt: skip
        cpu = _cpu(process)
        alone = await _singles(settings, singles, options)
        each = (_cpu(process) - cpu) / len(alone)
        print(f"  single: {len(alone):,} requests at {options.rate}/s; p50 {_ms(alone, 50)}, p99 {_ms(alone, 99)}, "
              f"most {_ms(alone, 100)}; {each * 1e6:.0f} µs CPU each", flush=True)  # fmt: skip
        found = await _in_kafka(settings) - before
        if found != events + len(alone):
            raise ReaderFailed(f"answered with 202: {events + len(alone):,} events; in Kafka: {found:,}")
    print(f"ingress batch {events / seconds:,.0f} events/s, {spent / events * 1e6:.1f} µs CPU an event; "
          f"single p50 {_ms(alone, 50)}, p99 {_ms(alone, 99)} at {options.rate}/s", flush=True)  # fmt: skip


def _requests(settings: Settings, batch: int) -> tuple[list[bytes], list[bytes]]:
    """Whole requests: of a batch each, and of one event each."""
    values = encode_predictions(frame(BODIES * batch, seed=3), COLUMNS, MODEL, VERSION).values
    parts = [values[i : i + batch] for i in range(0, len(values), batch)]
    batches = [post(settings, "/predictions", b"[" + b",".join(part) + b"]") for part in parts]
    return batches, [post(settings, "/predictions", value) for value in values[:2000]]


async def _batches(
    settings: Settings, requests: Sequence[bytes], options: argparse.Namespace, seconds: float
) -> list[float]:
    """Seconds that each batch waited for its answer."""
    waits: list[float] = []
    ending = time.monotonic() + seconds
    made = cycle(requests)

    async def send() -> None:
        async with Connection(settings) as connection:
            while (started := time.monotonic()) < ending:
                status, answer = await connection.send(next(made))
                if status != 202 or not answer.startswith(b'{"accepted":%d,' % options.batch):
                    raise ReaderFailed(f"the API answered {status}: {answer[:200]!r}")
                waits.append(time.monotonic() - started)

    await asyncio.gather(*(send() for _ in range(options.connections)))
    return waits


async def _singles(settings: Settings, requests: Sequence[bytes], options: argparse.Namespace) -> list[float]:
    """Seconds from when each request was due to its answer."""
    n = round(options.seconds * options.rate)
    due: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    waits: list[float] = []

    async def send() -> None:
        async with Connection(settings) as connection:
            while (one := await due.get()) is not None:
                status, answer = await connection.send(one[1])
                if status != 202:
                    raise ReaderFailed(f"the API answered {status}: {answer[:200]!r}")
                waits.append(time.monotonic() - one[0])

    senders = asyncio.gather(*(send() for _ in range(IN_FLIGHT)))
    start = time.monotonic() + 0.1
    for i, request in zip(range(n), cycle(requests), strict=False):
        await asyncio.sleep(max(0.0, start + i / options.rate - time.monotonic()))
        due.put_nowait((start + i / options.rate, request))
    for _ in range(IN_FLIGHT):
        due.put_nowait(None)
    await senders
    return waits


async def _in_kafka(settings: Settings) -> int:
    """How many records `predictions` has."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers)
    await consumer.start()
    try:
        name = PREDICTIONS.full_name(settings.prefix)
        ends = await consumer.end_offsets([TopicPartition(name, p) for p in range(settings.partitions)])
        return sum(ends.values())
    finally:
        await consumer.stop()


def _cpu(process: GuardedProcess) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def _ms(seconds: Sequence[float], percentile: float) -> str:
    return f"{np.percentile(seconds, percentile) * 1000:.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
