"""Whether the cost of an event stays the same however long the stream, and what a waiting prediction costs in memory.

Speed: the whole pipeline on a backlog, as in `benchmarks.throughput`: events a second when 100,000, when 1 million and
when 5 million have been counted, after a lead that fills the buffers between broker and worker; what follows keeps them
full to the end. Each is told in the time that a fixed piece of work took meanwhile, as the machine is quicker or slower
for minutes at a time (`benchmarks.yardstick`). Memory of the stream: the worker's resident memory meanwhile, with a
retention that is much shorter than the stream. Memory of what waits: a join in this process takes predictions without
feedback, and what the process has grown by is divided by their number; of that, what the arrays and the table of saved
deltas account for.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import sys
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import psutil
from aiokafka.admin import AIOKafkaAdminClient

from app.kafka.topics import ensure_topics
from app.replay.run import Sent
from app.settings.settings import Settings
from benchmarks import pipeline
from benchmarks.curve import Curve
from benchmarks.events import CHUNK, counts_of, predictions, register_model, send_events
from benchmarks.harness import parser_of, run
from benchmarks.hot_path import Record, Timed
from benchmarks.yardstick import Yardstick

MOST_SECONDS = 900.0
RETENTION = 600.0
"""Seconds of event time that a prediction waits for its truth: 300,000 predictions."""
PANES = 15
"""In a window: those that may be judged again are all there after half an hour of event time, 1.35 million events."""
CHECKPOINT = 2000
"""Predictions of a partition in a delta: half a second of 4,000 a second."""
LEAD = 250_000
"""Events before what is measured, and after it."""
ROUNDS = 2
SHORT = 5
"""Backlogs of the least size in a round: a worker tells what it has counted at its checkpoints, twice in that time."""
PARTS, QUARTERS = 10, 4
RESTS = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; answers the exit status."""
    parser = parser_of("flat", __doc__)
    parser.add_argument("--sizes", type=_sizes, default="100000,1000000,5000000",
                        help="events at which the speed is told, separated by commas (%(default)s)")  # fmt: skip
    parser.add_argument("--pending", type=int, default=1_000_000, help="predictions that wait (%(default)s)")
    parser.add_argument("--reference", type=int, default=10_000, help="rows of the reference (%(default)s)")
    return run(parser, arguments, _measure)


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",")]


async def _measure(settings: Settings, options: argparse.Namespace) -> None:
    # the memory first: a process that has sent five million events has holes that what waits would fill unseen
    await _pending(options.pending, options.reference)
    least, most = min(options.sizes), max(options.sizes)
    found: list[tuple[int, Curve]] = []
    yardstick = Yardstick()
    with yardstick.beside():
        for i, size in enumerate(([least] * SHORT + [most]) * ROUNDS):
            one = await _pipeline(settings, str(i), size + 2 * LEAD, options.reference)
            curve = Curve(one.watched.steps)
            found.append((size, curve))
            if size == most:
                tell_memory(one, size)
                tell_parts(curve, yardstick, size)
    rates: dict[int, float] = {}
    for size in options.sizes:
        took = [seconds(curve, yardstick, LEAD, LEAD + size) for upto, curve in found if upto >= size]
        rates[size] = size * len(took) / sum(took)
        print(
            f"  {size:>9,} events, {len(took)} times: {', '.join(f'{size / one:,.0f}/s' for one in took)}", flush=True
        )
    slowest, fastest = min(rates.values()), max(rates.values())
    told = ", ".join(f"{size:,}: {rate:,.0f}/s" for size, rate in rates.items())
    print(f"flat {told}; slowest/fastest {slowest / fastest:.2f}", flush=True)


def seconds(curve: Curve, yardstick: Yardstick, first: int, last: int) -> float:
    """What the events between those two counts took, had the machine always had its mean speed."""
    start, end = curve.when(first), curve.when(last)
    return (end - start) * yardstick.mean / yardstick.between(start, end)


def tell_parts(curve: Curve, yardstick: Yardstick, size: int) -> None:
    """The speed of each tenth of what is measured."""
    bounds = [LEAD + size * i // PARTS for i in range(PARTS + 1)]
    rates = [size / PARTS / seconds(curve, yardstick, first, last) for first, last in pairwise(bounds)]
    print(f"flat tenths of {size:,} events: {', '.join(f'{one:,.0f}/s' for one in rates)}", flush=True)


async def _pipeline(settings: Settings, name: str, events: int, reference: int) -> pipeline.Pipeline:
    """A backlog of its own, taken by a new worker; its topics are gone afterwards."""
    own = settings.model_copy(
        update={
            "prefix": f"{settings.prefix}{name}.",
            "group": f"{settings.group}-{name}",
            "state_dir": settings.state_dir / name,
        }
    )
    wanted, told = counts_of(events), 0

    def tell(sent: Sent) -> None:
        nonlocal told
        if (done := (sent.predictions + sent.feedback) // 500_000) > told:
            told = done
            print(f"  sent {sent.predictions + sent.feedback:,} of {wanted.events:,}", flush=True)

    await ensure_topics(own)
    await register_model(own, reference, windows={"retention": RETENTION, "lateness": 120, "panes": PANES})
    await send_events(own, wanted, tell)
    await asyncio.sleep(RESTS)
    found = await pipeline.run(own, wanted, MOST_SECONDS)
    print(
        f"  {events:>9,} events: {found.figures.rate:,.0f}/s, {found.figures.microseconds:.1f} µs CPU each", flush=True
    )
    await _delete(own)
    return found


def tell_memory(found: pipeline.Pipeline, events: int) -> None:
    """The resident memory over a run: once what waits, and the windows, are full it should rise no more."""
    counted, rss = np.array(found.watched.rss).T
    bounds = [LEAD + events * i // QUARTERS for i in range(QUARTERS + 1)]
    told = [np.median(rss[(first < counted) & (counted <= last)]) for first, last in pairwise(bounds)]
    print(f"flat resident in the quarters of {events:,} events: "
          f"{', '.join(f'{one / 2**20:.0f} MiB' for one in told)}", flush=True)  # fmt: skip


async def _pending(pending: int, reference: int) -> None:
    """A join in this process with so many predictions that wait, on one partition."""
    timed = Timed(reference)
    await _take(timed, 0, CHUNK)  # whatever is made once is there before the first look
    before, arrays, deltas = resident(), _rows(timed), _table(timed)
    await _take(timed, CHUNK, pending + CHUNK)
    rss, arrays, deltas = resident() - before, _rows(timed) - arrays, _table(timed) - deltas
    waiting = len(timed.join._source(0).state.rows)
    if waiting != pending + CHUNK:
        raise AssertionError(f"{waiting:,} wait")
    inputs = timed.join._source(0).state.inputs
    panes = inputs.nbytes
    print(f"flat memory {rss / pending:.0f} bytes resident for each of {pending:,} pending predictions: "
          f"{arrays / pending:.0f} of arrays, {deltas / pending:.0f} of saved deltas in {len(timed.table):,} records, "
          f"{panes / pending:.0f} of the {len(inputs)} panes that may still change", flush=True)  # fmt: skip


def resident() -> int:
    """This process's resident memory, less what is free but not given back: events are made in it as well."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    found: int = psutil.Process().memory_info().rss
    return found


async def _take(timed: Timed, first: int, end: int) -> None:
    """Feed predictions first to end, with a checkpoint every CHECKPOINT of them."""
    timed.join._checkpoint_seconds = 0.0
    for chunk in predictions(end - first, first):
        for i in range(0, len(chunk), CHECKPOINT):
            part = zip(chunk.keys[i : i + CHECKPOINT], chunk.values[i : i + CHECKPOINT], strict=True)
            run = [Record(first + i + j, 0, key, value, ()) for j, (key, value) in enumerate(part)]
            await timed.take(0, run)
        first += len(chunk)


def _rows(timed: Timed) -> int:
    return timed.join._source(0).state.rows.nbytes


def _table(timed: Timed) -> int:
    return sum(sys.getsizeof(key) + sys.getsizeof(value) for key, value in timed.table.items())


async def _delete(settings: Settings) -> None:
    """Free the broker's disk before the next backlog."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        names = (settings.prefix, settings.group)
        await admin.delete_topics([topic for topic in await admin.list_topics() if topic.startswith(names)])
    finally:
        await admin.close()


if __name__ == "__main__":
    sys.exit(main())
