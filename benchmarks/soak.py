"""Ten minutes at a steady rate: memory, open files, threads, tasks and lag of worker and API may not grow.

Windows are short (panes of 5 s, truth waited for 20 s), so that after the first minute everything that is kept is as
much as it ever gets. From then on each quantity is noted every two seconds; it has grown when the median of the last
quarter is above that of the first by more than is allowed. Half of the predictions get their truth, some seconds later.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import httpx
import msgspec
import psutil
from prometheus_client.parser import text_string_to_metric_families

from app.kafka.topics import ensure_topics
from app.processes.guarded import GuardedProcess
from app.settings.settings import Settings, environment
from benchmarks.client import Connection, post, until_ready
from benchmarks.events import COLUMNS, MODEL, VERSION, frame, register_model
from benchmarks.harness import free_port, parser_of, run
from benchmarks.reading import ReaderFailed, last_words

WINDOWS = {"pane": 5.0, "panes": 3, "allowance": 0, "lateness": 15, "retention": 20}
WARM_SECONDS = 60
EVERY_SECONDS = 2.0
STEPS = 10
"""Requests a second, of each kind."""
TRUTH_AFTER = 3 * STEPS
"""Steps after which a prediction's truth comes."""
POOL = 4000
MIB = 1 << 20

COUNTING = """
import asyncio, os, sys, threading, time, weakref

loops, made = weakref.WeakSet(), asyncio.BaseEventLoop.__init__

def noted(self):
    made(self)
    loops.add(self)

def count(path):
    while True:
        tasks = sum(len(asyncio.all_tasks(loop)) for loop in list(loops))
        with open(path + ".new", "w") as file:
            file.write(str(tasks))
        os.replace(path + ".new", path)
        time.sleep(0.5)

asyncio.BaseEventLoop.__init__ = noted
threading.Thread(target=count, args=[sys.argv.pop(1)], daemon=True).start()
from app.cli import main
main()
"""
"""`driftline` that also writes into a file, its first argument, how many tasks its event loops have."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is watched of a process, and by how much it may be more at the end: a share and so many."""

    name: str
    share: float
    more: float


QUANTITIES = (
    Quantity("memory, MiB", 0.05, 8),
    Quantity("open files", 0, 5),
    Quantity("threads", 0, 2),
    Quantity("tasks", 0, 5),
)
LAG = Quantity("lag, records", 0.5, 0)
"""What has come within half a second is no lag: it is added to what is allowed."""

Samples = dict[tuple[str, Quantity], list[float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak; answers the exit status: 1 when something has grown."""
    parser = parser_of("soak", __doc__)
    parser.add_argument("--seconds", type=int, default=600, help="after the first minute (%(default)s)")
    parser.add_argument("--rate", type=int, default=500, help="predictions a second (%(default)s)")
    return run(parser, arguments, _soak, api_port=free_port(), metrics_port=free_port())


async def _soak(settings: Settings, options: argparse.Namespace) -> None:
    await ensure_topics(settings)
    await register_model(settings, 10_000, windows=WINDOWS)
    with _counted(settings, "worker") as worker, _counted(settings, "api") as api:
        await until_ready(settings, api)
        traffic = asyncio.create_task(_traffic(settings, options.rate))
        try:
            await asyncio.wait([traffic], timeout=WARM_SECONDS)
            watching = asyncio.create_task(_watch(settings, options.seconds, {"worker": worker, "api": api}))
            await asyncio.wait([traffic, watching], return_when=asyncio.FIRST_COMPLETED)
            if traffic.done():
                watching.cancel()
                traffic.result()
            samples = await watching
        finally:
            traffic.cancel()
            await asyncio.gather(traffic, return_exceptions=True)
    _judge(samples, options)


@contextmanager
def _counted(settings: Settings, command: str) -> Iterator[GuardedProcess]:
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-c", COUNTING, str(settings.state_dir / f"{command}.tasks"), command]
    with (settings.state_dir / f"{command}.log").open("ab") as said:
        process = GuardedProcess(argv, env=environment(settings), stdout=said, stderr=said)
        try:
            yield process
        finally:
            process.stop()


async def _traffic(settings: Settings, rate: int) -> None:
    """Predictions and truths at their pace, without end. Raises ReaderFailed where the API does not take them."""
    table = frame(POOL, seed=5)
    rows = table[list(COLUMNS.features)].to_dict("records")
    outputs = zip(rows, table["prediction"], table["probability"].tolist(), strict=True)
    bodies = [
        msgspec.json.encode({"model": MODEL, "model_version": VERSION, "features": row, "prediction": label,
                             "probability": probability})[1:]
        for row, label, probability in outputs
    ]  # fmt: skip
    truths = [msgspec.json.encode(str(truth)) for truth in table["actual"]]
    each, start = rate // STEPS, time.monotonic()
    async with Connection(settings) as connection:
        for step in range(sys.maxsize):
            await asyncio.sleep(max(0.0, start + step / STEPS - time.monotonic()))
            now = time.time()
            made = [
                b'{"prediction_id":"s%d","timestamp":%.6f,' % (i, now) + bodies[i % POOL]
                for i in range(step * each, (step + 1) * each)
            ]
            await _send(connection, post(settings, "/predictions", b"[" + b",".join(made) + b"]"))
            if step >= TRUTH_AFTER:
                first = (step - TRUTH_AFTER) * each
                told = [b'{"prediction_id":"s%d","actual":%s}' % (i, truths[i % POOL])
                        for i in range(first, first + each, 2)]  # fmt: skip
                await _send(connection, post(settings, "/feedback", b"[" + b",".join(told) + b"]"))


async def _send(connection: Connection, request: bytes) -> None:
    status, answer = await connection.send(request)
    if status not in {200, 202}:
        raise ReaderFailed(f"the API answered {status}: {answer[:200]!r}")


async def _watch(settings: Settings, seconds: float, processes: dict[str, GuardedProcess]) -> Samples:
    samples: Samples = defaultdict(list)
    watched = {name: psutil.Process(process.pid) for name, process in processes.items()}
    start = time.monotonic()
    async with httpx.AsyncClient(timeout=60) as client:
        while time.monotonic() - start < seconds:
            for name, process in watched.items():
                if processes[name].poll() is not None:
                    raise ReaderFailed(f"the {name} ended: {last_words(settings.state_dir / f'{name}.log')}")
                tasks = int((settings.state_dir / f"{name}.tasks").read_text())
                seen = (process.memory_info().rss / MIB, process.num_fds(), process.num_threads(), tasks)
                for quantity, value in zip(QUANTITIES, seen, strict=True):
                    samples[name, quantity].append(value)
            metrics = (await client.get(f"http://127.0.0.1:{settings.metrics_port}/metrics")).text
            samples["worker", LAG].append(_lag(metrics))
            if os.isatty(2):
                print(f"\r{time.monotonic() - start:.0f} of {seconds} s ", end="", file=sys.stderr)
            await asyncio.sleep(EVERY_SECONDS)
    return samples


def _lag(metrics: str) -> float:
    families = text_string_to_metric_families(metrics)
    return sum(sample.value for family in families for sample in family.samples
               if sample.name == "driftline_lag_records")  # fmt: skip


def _judge(samples: Samples, options: argparse.Namespace) -> None:
    """Print the table. Raises ReaderFailed where something has grown."""
    print(f"{options.rate:,} predictions/s, {options.rate // 2:,} truths/s, for {options.seconds} s after a minute")
    print(f"{'':8}{'':14}{'first quarter':>14}{'last quarter':>14}{'most':>10}{'allowed':>10}")
    grown: list[str] = []
    for (name, quantity), values in samples.items():
        quarter = max(1, len(values) // 4)
        first, last = median(values[:quarter]), median(values[-quarter:])
        allowed = first * (1 + quantity.share) + (options.rate / 2 if quantity is LAG else quantity.more)
        print(f"{name:8}{quantity.name:14}{first:14,.1f}{last:14,.1f}{max(values):10,.1f}{allowed:10,.1f}", flush=True)
        if last > allowed:
            grown.append(f"{name}: {quantity.name} from {first:,.1f} to {last:,.1f}")
    if grown:
        raise ReaderFailed("grown: " + "; ".join(grown))


if __name__ == "__main__":
    sys.exit(main())
