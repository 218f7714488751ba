"""How long after its 2xx an event is in a report, and how long after a breach its alert is at the channel.

A worker and an API with their default settings, panes of a second, windows of one pane, no allowance for late events:
so there is a report a second, and what is measured is Driftline's own time. Batches and single events come at a fixed
rate whether or not earlier ones have been answered; each carries the time at which it is sent.

An event is counted by the first report of its window that counts as many events as had been answered by then: the
last ones answered are taken to be the missing ones. Its latency runs from its 2xx, or from the end of its pane where
that is later, until this process has the report. Every other pane one feature is shifted, and it is a critical
feature: a breach is the end of such a pane, and the alert is there when its line is in the file channel's file.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer

from app.kafka.topics import ensure_topics
from app.processes.guarded import GuardedProcess
from app.settings.settings import Settings
from benchmarks.client import Connection, post, until_ready
from benchmarks.events import COLUMNS, MODEL, VERSION, frame, register_model
from benchmarks.harness import child, free_port, parser_of, run
from benchmarks.pipeline import reading
from benchmarks.reading import ReaderFailed, last_words
from topics.events import AlertEvent, AnyReport, DriftReport, to_epoch
from topics.registry import REPORTS

PANE = 1.0
WINDOWS = {"pane": PANE, "panes": 1, "allowance": 0, "lateness": 30, "retention": 60}
AT_ONCE = {"enabled": True, "for_windows": 1, "clear_windows": 1}
ALERTING = {"critical_features": ["amount"], "critical_feature": AT_ONCE}
SHIFT = 200.0
POOL = 4000
IN_FLIGHT = 32
WARM_SECONDS = 5
LAST_SECONDS = 5.0
"""How long the last reports and alerts are waited for; events go on meanwhile, so that panes close."""
LOOK_SECONDS = 0.002

_reports = msgspec.json.Decoder(AnyReport)


@dataclass
class Seen:
    """What was answered, by pane, and when it was reported; alerts and when they were in the file."""

    answered: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    counted: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    latencies: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    alerts: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def report(self, pane: int, n: int, now: float) -> None:
        """A report of a pane's window that counts n events."""
        end = (pane + 1) * PANE
        known = sorted(self.answered[pane])
        for at in known[self.counted[pane] : n]:
            self.latencies[pane].append(now - max(at, end))
        self.counted[pane] = max(self.counted[pane], min(n, len(known)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; answers the exit status."""
    parser = parser_of("latency", __doc__)
    parser.add_argument("--seconds", type=int, default=60, help="(%(default)s)")
    parser.add_argument("--rate", type=int, default=2000, help="events a second (%(default)s)")
    parser.add_argument("--batch", type=int, default=50, help="events in a batch (%(default)s)")
    parser.add_argument("--singles", type=int, default=100, help="of the events a second, sent alone (%(default)s)")
    parser.add_argument("--checkpoint-seconds", type=float, default=None, help="another one than the default")
    parser.add_argument("--reference", type=int, default=10_000, help="rows of the reference (%(default)s)")
    return run(parser, arguments, _measure, api_port=free_port())


async def _measure(settings: Settings, options: argparse.Namespace) -> None:
    if options.checkpoint_seconds is not None:
        settings = settings.model_copy(update={"checkpoint_seconds": options.checkpoint_seconds})
    await ensure_topics(settings)
    await register_model(settings, options.reference, windows=WINDOWS, alerting=ALERTING)
    seen = Seen()
    with child(settings, "worker", "worker.log") as worker, child(settings, "api", "api.log") as api:
        await until_ready(settings, api)
        async with reading(settings, [REPORTS.full_name(settings.prefix)]) as consumer:
            watching = [asyncio.create_task(_follow(consumer, seen)), asyncio.create_task(_tail(settings, seen))]
            try:
                first, last = await _traffic(settings, options, seen, worker)
            finally:
                for task in watching:
                    task.cancel()
                await asyncio.gather(*watching, return_exceptions=True)
    _tell(settings, options, seen, range(first, last))


def _tell(settings: Settings, options: argparse.Namespace, seen: Seen, panes: range) -> None:
    latencies = [latency for pane in panes for latency in seen.latencies[pane]]
    given = sum(len(seen.answered[pane]) for pane in panes)
    breaches = [pane for pane in panes if _is_breach(pane)]
    alerts = [at for at in seen.alerts if panes.start * PANE < at <= panes.stop * PANE]
    if not latencies or not alerts:
        raise ReaderFailed(f"no report or alert: {last_words(settings.state_dir / 'worker.log')}")
    waits = [wait for at, wait in zip(seen.alerts, seen.waits, strict=True) if at in set(alerts)]
    missing = given - len(latencies)
    print(f"  {given:,} events in {len(panes)} panes, {missing:,} of them in no report; {len(breaches)} breaches, "
          f"{len(alerts)} alerts; checkpoints every {settings.checkpoint_seconds:g} s")  # fmt: skip
    print(f"latency 2xx to report {_ms(latencies)} ({len(latencies):,} events at {options.rate:,}/s); "
          f"breach to channel {_ms(waits)} ({len(waits)} alerts)", flush=True)  # fmt: skip


def _is_breach(pane: int) -> bool:
    return pane % 2 == 0


async def _traffic(
    settings: Settings, options: argparse.Namespace, seen: Seen, worker: GuardedProcess
) -> tuple[int, int]:
    """Send for the time; answers the first pane that counts and the one after the last."""
    bodies = _bodies()
    due: asyncio.Queue[int] = asyncio.Queue()
    senders = [asyncio.create_task(_sender(settings, due, bodies, seen)) for _ in range(IN_FLIGHT)]
    plan = _plan(options)
    start = time.time() + 0.5
    first = int((start + WARM_SECONDS) / PANE) + 1
    last = first + round(options.seconds / PANE)
    try:
        for i in count():
            at = start + i // len(plan) + plan[i % len(plan)][0]
            if at > last * PANE + LAST_SECONDS:
                return first, last
            await asyncio.sleep(max(0.0, at - time.time()))
            due.put_nowait(plan[i % len(plan)][1])
            for sender in senders:
                if sender.done():
                    sender.result()
            if worker.poll() is not None:
                raise ReaderFailed(f"the worker ended: {last_words(settings.state_dir / 'worker.log')}")
    finally:
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
    raise AssertionError


def _plan(options: argparse.Namespace) -> list[tuple[float, int]]:
    """A second's requests: when, and how many events."""
    batches = max(0, options.rate - options.singles) // options.batch
    every = [(i / batches, options.batch) for i in range(batches)]
    return sorted(every + [(i / options.singles, 1) for i in range(options.singles)])


def _bodies() -> tuple[list[bytes], list[bytes]]:
    """What follows the id and the time in an event: as the reference is, and shifted."""
    plain, shifted = frame(POOL, seed=4), frame(POOL, seed=4)
    shifted["amount"] += SHIFT
    made = []
    for table in (plain, shifted):
        rows = table[list(COLUMNS.features)].to_dict("records")
        outputs = zip(table["prediction"], table["probability"].tolist(), strict=True)
        made.append([
            msgspec.json.encode({"model": MODEL, "model_version": VERSION, "features": row, "prediction": label,
                                 "probability": probability})[1:]
            for row, (label, probability) in zip(rows, outputs, strict=True)
        ])  # fmt: skip
    return made[0], made[1]


_numbers = count()


async def _sender(
    settings: Settings, due: asyncio.Queue[int], bodies: tuple[list[bytes], list[bytes]], seen: Seen
) -> None:
    async with Connection(settings) as connection:
        while True:
            n = await due.get()
            now = time.time()
            pane = int(now / PANE)
            pool = bodies[_is_breach(pane)]
            events = [b'{"prediction_id":"l%d","timestamp":%.6f,' % (i := next(_numbers), now) + pool[i % POOL]
                      for _ in range(n)]  # fmt: skip
            body = events[0] if n == 1 else b"[" + b",".join(events) + b"]"
            status, answer = await connection.send(post(settings, "/predictions", body))
            if status != 202:
                raise ReaderFailed(f"the API answered {status}: {answer[:200]!r}")
            seen.answered[pane].extend([time.time()] * n)


async def _follow(consumer: AIOKafkaConsumer, seen: Seen) -> None:
    """Note every drift report when it is here."""
    while True:
        for records in (await consumer.getmany(timeout_ms=100)).values():
            now = time.time()
            for record in records:
                report = _reports.decode(record.value)
                if isinstance(report, DriftReport):
                    seen.report(round(to_epoch(report.window_start) / PANE), report.n, now)


async def _tail(settings: Settings, seen: Seen) -> None:
    """Note every firing alert when its line has begun in the file channel's file."""
    sizes: dict[Path, int] = {}
    while True:
        for path in settings.alerts_dir.glob("*.jsonl"):
            if (size := path.stat().st_size) > sizes.get(path, 0):
                now = time.time()
                with path.open("rb") as file:
                    file.seek(sizes.get(path, 0))
                    lines = file.read(size - sizes.get(path, 0)).splitlines(keepends=True)
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    sizes[path] = sizes.get(path, 0) + len(line)
                    alert = msgspec.json.decode(line, type=AlertEvent)
                    if alert.status == "firing":
                        seen.alerts.append(to_epoch(alert.started_at))
                        seen.waits.append(now - to_epoch(alert.started_at))
        await asyncio.sleep(LOOK_SECONDS)


def _ms(seconds: Sequence[float]) -> str:
    p50, p99, most = np.percentile(seconds, [50, 99, 100]) * 1000
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, most {most:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
