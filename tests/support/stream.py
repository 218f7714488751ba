"""A small stream with a known truth: events in, and what every pane must count."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pandas as pd
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from app.kafka.client_options import client_options
from app.processes.guarded import GuardedProcess
from app.registration.monitoring import MonitoringFile, monitoring_of
from app.registration.publish import register
from app.settings.settings import Settings, environment
from topics.events import AnyReport, PaneEvent, PanePartial, PerformanceReport
from topics.registry import FEEDBACK, PANES, PREDICTIONS, REPORTS

MODEL, VERSION = "stream", "1"
PANE = 60.0
START = 1_700_000_040.0
MIN_SAMPLES = 50
USUAL = 5 * PANE
"""A window's usual length in seconds."""
WINDOWS: dict[str, float] = {
    "pane": PANE, "panes": 5, "allowance": 0, "retention": 864_000, "lateness": 864_000, "idle_after": 2,
}  # fmt: skip
MONITORING: dict[str, object] = {
    "columns": {"prediction": "prediction", "probability": "probability", "target": "target"},
    "positive_label": "1",
    "windows": WINDOWS,
    "drift": {"min_samples": MIN_SAMPLES},
}


@dataclass
class Truth:
    """What is sent, and what it must come to: panes' predictions and confusion (actual, predicted)."""

    records: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    panes: Counter[float] = field(default_factory=Counter)
    confusion: Counter[tuple[float, int]] = field(default_factory=Counter)
    rows: list[dict[str, object]] = field(default_factory=list)


def frame(n: int, seed: int = 1) -> pd.DataFrame:
    """Rows of two features, a prediction and its truth."""
    rng = np.random.default_rng(seed)
    probability = rng.random(n).round(6)
    return pd.DataFrame(
        {
            "size": rng.normal(size=n).round(6),
            "colour": rng.choice(["red", "green", "blue"], n),
            "prediction": (probability > 0.5).astype(int).astype(str),
            "probability": probability,
            "target": (rng.random(n) < probability).astype(int).astype(str),
        }
    )


def truth(n: int, seed: int = 2, duplicated: float = 0.1) -> Truth:
    """Predictions over an hour with feedback for most, a tenth doubled, all shuffled; some feedback corrected."""
    rng = random.Random(seed)
    made = Truth()
    for i, row in enumerate(frame(n, seed).to_dict("records")):
        when, key = START + i * 3600 / n, f"p{seed}-{i}".encode()
        event = {
            "prediction_id": key.decode(), "model": MODEL, "model_version": VERSION, "timestamp": when,
            "features": {"size": row["size"], "colour": row["colour"]},
            "prediction": row["prediction"], "probability": row["probability"],
        }  # fmt: skip
        pane = when // PANE * PANE
        copies = 2 if rng.random() < duplicated else 1
        made.records += [(PREDICTIONS.name, key, msgspec.json.encode(event))] * copies
        made.panes[pane] += 1
        made.rows.append({**row, "pane": pane})
        if rng.random() < 0.8:
            answer = msgspec.json.encode({"prediction_id": key.decode(), "actual": row["target"]})
            made.records += [(FEEDBACK.name, key, answer)] * copies
            made.confusion[(pane, int(str(row["target"])) * 2 + int(str(row["prediction"])))] += 1
    rng.shuffle(made.records)
    return made


async def register_model(
    settings: Settings, windows: dict[str, float] | None = None, *, version: str = VERSION
) -> None:
    """Register the model that the stream's events belong to; `windows` changes how it is watched."""
    watched = {**MONITORING, "windows": {**WINDOWS, **(windows or {})}}
    file: MonitoringFile = monitoring_of(watched)
    await register(settings, MODEL, version, frame(2000), file)


async def send(
    settings: Settings, records: Sequence[tuple[str, bytes, bytes]], *, close: bool = True, version: str = VERSION
) -> None:
    """Send all, and a heartbeat to every partition that closes every window of the version."""
    producer = AIOKafkaProducer(**client_options(settings), acks="all", linger_ms=5)
    await producer.start()
    try:
        futures = [await producer.send(settings.prefix + topic, value, key) for topic, key, value in records]
        await asyncio.gather(*futures)
        beat = msgspec.json.encode({"model": MODEL, "model_version": version, "timestamp": START + 3600 + 10 * PANE})
        name = PREDICTIONS.full_name(settings.prefix)
        for partition in range(settings.partitions if close else 0):
            await producer.send_and_wait(name, beat, partition=partition, headers=[("driftline", b"heartbeat")])
    finally:
        await producer.stop()


@contextmanager
def worker(
    settings: Settings, log: str = "worker", command: Sequence[str] = ("-m", "app.cli", "worker")
) -> Iterator[GuardedProcess]:
    """One worker process; `command` is what Python is given."""
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with (settings.state_dir / f"{log}.log").open("ab") as out:
        process = GuardedProcess([sys.executable, *command], env=environment(settings), stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.stop()


class Counts:
    """What the topics `panes` and `reports` say of a version (of all: None), read as they grow."""

    def __init__(self, version: str | None = None) -> None:
        self._version = version
        self.inputs: dict[tuple[float, int], tuple[int, int]] = {}
        self.outcomes: dict[tuple[float, int], tuple[int, dict[int, int]]] = {}
        self.reports: dict[tuple[str, float], AnyReport] = {}

    def take(self, topic: str, value: bytes) -> None:
        """Take one record."""
        if topic.endswith(REPORTS.name):
            report = msgspec.json.decode(value, type=AnyReport)
            if self._version not in (None, report.model_version):
                return
            kind = str(report.__struct_config__.tag)
            key = (kind, report.window_end.timestamp())
            if key not in self.reports or report.revision > self.reports[key].revision:
                self.reports[key] = report
            return
        event = msgspec.json.decode(value, type=PaneEvent)
        if not isinstance(event, PanePartial) or self._version not in (None, event.model_version):
            return
        key_ = (event.pane_start, event.partition)
        if event.kind == "input":
            if event.revision >= self.inputs.get(key_, (0, 0))[0]:
                self.inputs[key_] = (event.revision, event.n)
            return
        if event.revision >= self.outcomes.get(key_, (0, {}))[0]:
            slots = np.frombuffer(event.indices, "<i4").tolist()
            counts = np.frombuffer(event.counts, "<i8").tolist()
            cells = {slot: count for slot, count in zip(slots, counts, strict=True) if slot < 4}
            self.outcomes[key_] = (event.revision, cells)

    @property
    def predictions(self) -> int:
        """Predictions counted so far."""
        return sum(n for _, n in self.inputs.values())

    def equal(self, wanted: Truth) -> bool:
        """Whether panes and the newest reports count exactly what was sent."""
        panes: Counter[float] = Counter()
        for (start, _), (_, n) in self.inputs.items():
            panes[start] += n
        confusion: Counter[tuple[float, int]] = Counter()
        for (start, _), (_, cells) in self.outcomes.items():
            for slot, count in cells.items():
                confusion[(start, slot)] += count
        return panes == wanted.panes and +confusion == wanted.confusion and self._reports_equal(wanted)

    def _reports_equal(self, wanted: Truth) -> bool:
        for start in wanted.panes:
            end = start + PANE
            usual = {pane for pane in wanted.panes if end - USUAL <= pane < end}
            inside = reached(wanted.panes, end)
            n = sum(wanted.panes[pane] for pane in inside)
            answered = sum(count for (pane, _), count in wanted.confusion.items() if pane in inside)
            # Truth before the usual panes counts as far as it had come when the window was judged.
            at_least = sum(count for (pane, _), count in wanted.confusion.items() if pane in usual)
            drift, performance = self.reports.get(("drift", end)), self.reports.get(("performance", end))
            if drift is None or not isinstance(performance, PerformanceReport):
                return False
            if (drift.n, performance.n) != (n, n) or not at_least <= performance.feedback <= answered:
                return False
        return True


def reached(panes: Counter[float], end: float) -> set[float]:
    """Recount the panes of the window with an end: a thin one reaches back until it has the rows that are needed."""
    usual = {pane for pane in panes if end - USUAL <= pane < end}
    inside, n = set(usual), sum(panes[pane] for pane in usual)
    for pane in sorted((pane for pane in panes if pane < end - USUAL), reverse=True):
        if n >= MIN_SAMPLES:
            return inside
        inside.add(pane)
        n += panes[pane]
    return inside if n >= MIN_SAMPLES else usual


async def until_equal(settings: Settings, wanted: Truth, seconds: float, version: str | None = None) -> Counts:
    """Read until everything equals the truth; return what was read, equal or not, when the time is over."""
    return await until(settings, lambda counts: counts.equal(wanted), seconds, version)


async def until(
    settings: Settings, enough: Callable[[Counts], bool], seconds: float, version: str | None = None
) -> Counts:
    """Read from the beginning until it is enough, or the time is over."""
    async with watching(settings, version) as watch:
        return await watch.until(enough, seconds)


class Watch:
    """What the topics say, as far as they have been read."""

    def __init__(self, consumer: AIOKafkaConsumer, version: str | None = None) -> None:
        self._consumer = consumer
        self.counts = Counts(version)

    async def until(self, enough: Callable[[Counts], bool], seconds: float) -> Counts:
        """Read on until it is enough, or nothing came for `seconds`; at most three times as long."""
        begun = last = time.monotonic()
        while time.monotonic() < min(last + seconds, begun + 3 * seconds):
            fetched = await self._consumer.getmany(timeout_ms=50)
            last = time.monotonic() if fetched else last  # a busy machine is slow, and goes on
            for partition, records in fetched.items():
                for record in records:
                    if record.value is not None:  # what is deleted was counted
                        self.counts.take(partition.topic, record.value)
            if fetched and enough(self.counts):
                break
        return self.counts


@asynccontextmanager
async def watching(settings: Settings, version: str | None = None) -> AsyncIterator[Watch]:
    """Read `panes` and `reports` from their beginning."""
    names = [PANES.full_name(settings.prefix), REPORTS.full_name(settings.prefix)]
    consumer = AIOKafkaConsumer(*names, **client_options(settings), auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield Watch(consumer, version)
    finally:
        await consumer.stop()


def differences(counts: Counts, wanted: Truth) -> str:
    """Where what was counted is not what was sent, in a few lines."""
    panes: Counter[float] = Counter()
    for (start, _), (_, n) in counts.inputs.items():
        panes[start] += n
    confusion: Counter[tuple[float, int]] = Counter()
    for (start, _), (_, cells) in counts.outcomes.items():
        for slot, count in cells.items():
            confusion[(start, slot)] += count
    wrong_panes = {start: (panes[start], n) for start, n in wanted.panes.items() if panes[start] != n}
    cells_ = {cell: (confusion[cell], n) for cell, n in wanted.confusion.items() if confusion[cell] != n}
    reports = [
        (kind, end - START, report.n, getattr(report, "feedback", None))
        for (kind, end), report in sorted(counts.reports.items())
    ]
    return f"panes {wrong_panes}\nconfusion {dict(list(cells_.items())[:8])}\nreports {len(reports)} {reports[:6]}"
