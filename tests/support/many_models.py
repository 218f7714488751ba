"""Two hundred models served live: their events, sent at a steady rate, and what is heard of them meanwhile."""

from __future__ import annotations

import asyncio
import http.client
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import pandas as pd
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families as parsed

from app.core.reference.profile import with_identity
from app.kafka.client_options import client_options
from app.kafka.producer import Outgoing, Producer
from app.registration.monitoring import monitoring_of
from app.registration.profiling import read_reference
from app.settings.settings import Settings
from topics.events import AnyReport, ModelEvent
from topics.registry import FEEDBACK, MODELS, PREDICTIONS, REPORTS

FEATURES = 20
VERSION = "1"
PANE = 30.0
WINDOWS = {"pane": PANE, "panes": 4, "allowance": 0, "retention": 3600, "lateness": 300, "idle_after": 60}
SHIFT = 2.0
"""By how much the features of a model that drifts are moved, in their standard deviations."""
SECOND = 0.1
"""Between two batches of a steady load."""
LATER = 1.0
"""Seconds from a prediction to its truth."""


def name_of(number: int) -> str:
    """The name of a model."""
    return f"model-{number:03}"


def rows(n: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """Rows of a binary model with numeric features."""
    rng = np.random.default_rng(seed)
    probability = rng.random(n)
    features = {f"f{i:02}": rng.normal(shift, 1.0, n).round(4) for i in range(FEATURES)}
    return pd.DataFrame(
        {
            **features,
            "prediction": (probability > 0.5).astype(int).astype(str),
            "probability": probability.round(4),
            "target": (rng.random(n) < probability).astype(int).astype(str),
        }
    )


async def register_models(settings: Settings, models: int, min_samples: int = 50) -> None:
    """Register models of one profile."""
    file = monitoring_of({
        "columns": {"prediction": "prediction", "probability": "probability", "target": "target"},
        "positive_label": "1", "windows": WINDOWS, "drift": {"min_samples": min_samples},
    })  # fmt: skip
    profile = read_reference(name_of(0), VERSION, rows(1000, 1), file).profile
    outgoing = []
    for number in range(models):
        event = ModelEvent(
            model=name_of(number), model_version=VERSION, monitoring=msgspec.Raw(msgspec.json.encode(file.monitoring)),
            profile=msgspec.Raw(msgspec.json.encode(with_identity(replace(profile, model=name_of(number))))),
            registered_at=datetime.now(UTC), rules=file.rules,
        )  # fmt: skip
        outgoing.append(Outgoing(f"{event.model}/{VERSION}".encode(), msgspec.json.encode(event)))
    async with Producer(settings) as producer:
        assert not await producer.send_many(MODELS, outgoing)


class Load:
    """Sends predictions of all models in turn, and truth for every second one a moment later."""

    def __init__(self, settings: Settings, models: int, drifting: int) -> None:
        self._settings = settings
        self._models = models
        self._drifting = drifting
        self._usual = self._payloads(0.0)
        self._shifted = self._payloads(SHIFT)
        self._rng = random.Random(7)
        self._answers: list[tuple[float, bytes, bytes]] = []
        self.sent = 0
        self.answered = 0
        self.drifts = False

    @staticmethod
    def _payloads(shift: float) -> list[tuple[bytes, bytes]]:
        """The end of an event, and its truth."""
        made = []
        for row in rows(500, 3, shift).to_dict("records"):
            target = row.pop("target")
            outputs = {"prediction": row.pop("prediction"), "probability": row.pop("probability")}
            made.append((msgspec.json.encode({"features": row, **outputs})[1:], str(target).encode()))
        return made

    async def send(self, producer: AIOKafkaProducer, n: int, when: Callable[[int], float]) -> None:
        """Send predictions, the i-th of them made at `when(i)`, and the truths that are due."""
        prefix = self._settings.prefix
        for i in range(n):
            number = self.sent % self._models
            drifts = self.drifts and number < self._drifting
            rest, truth = self._rng.choice(self._shifted if drifts else self._usual)
            key, at = f"p{self.sent}".encode(), when(i)
            head = b'{"prediction_id":"%s","model":"%s","model_version":"1","timestamp":%.3f,' % (
                key, name_of(number).encode(), at,
            )  # fmt: skip
            await producer.send(prefix + PREDICTIONS.name, head + rest, key)
            if self.sent // self._models % 2 == 0:
                answer = b'{"prediction_id":"%s","actual":"%s"}' % (key, truth)
                self._answers.append((at + LATER, key, answer))
            self.sent += 1
        now = time.time()
        due = [one for one in self._answers if one[0] <= now]
        self._answers = [one for one in self._answers if one[0] > now]
        for _, key, answer in due:
            await producer.send(prefix + FEEDBACK.name, answer, key)
        self.answered += len(due)

    async def run(self, producer: AIOKafkaProducer, rate: float) -> None:
        """Send `rate` predictions a second until cancelled."""
        began, done = time.monotonic(), 0
        while True:
            wanted = int((time.monotonic() - began) * rate)
            await self.send(producer, wanted - done, lambda _: time.time())
            done = wanted
            await asyncio.sleep(SECOND)


@asynccontextmanager
async def producing(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer of the load."""
    producer = AIOKafkaProducer(**client_options(settings), linger_ms=20)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@dataclass
class Heard:
    """When the first report of each model's windows came: seconds after the window's end, by the broker's clock."""

    delays: dict[tuple[str, float], float] = field(default_factory=dict)

    @property
    def caught_up(self) -> bool:
        """Whether windows have been reported that ended a moment ago."""
        return any(late < PANE / 2 for late in self.delays.values())

    async def follow(self, settings: Settings) -> None:
        """Read reports until cancelled."""
        name = REPORTS.full_name(settings.prefix)
        consumer = AIOKafkaConsumer(name, **client_options(settings), auto_offset_reset="earliest")
        await consumer.start()
        try:
            async for record in consumer:
                report = msgspec.json.decode(record.value, type=AnyReport)
                if report.__struct_config__.tag == "drift":
                    end = report.window_end.timestamp()
                    self.delays.setdefault((report.model, end), record.timestamp / 1000.0 - end)
        finally:
            await consumer.stop()


class Probed:
    """Asks a worker's probes all the time, in a thread: this process's loop has other things to do."""

    PATHS = ("/ready", "/health")

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self._port = port
        self.answers: list[tuple[float, str, float, int]] = []
        """Of each: when it was asked, what, how many seconds it took, and the status (0: none came).

        From the first one on that came: a worker that starts has its port before it has a loop.
        """
        self._begun = False
        self.waiting = 0.0
        """The most feedback that waited for its predictions."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        asked = 0
        while not self._over.wait(0.2):
            for path in self.PATHS:
                self._once(path)
            asked += 1
            if asked % 5 == 0 and self.answers:
                self._look()

    def _once(self, path: str) -> None:
        began, wall = time.monotonic(), time.time()
        try:
            status, _ = get(self._port, path)
        except OSError:
            status = 0
        if not self._begun:
            self._begun = status > 0
        elif not self._over.is_set():
            self.answers.append((wall, path, time.monotonic() - began, status))

    def _look(self) -> None:
        try:
            found = samples_of(self._port).get("driftline_waiting_feedback", {})
        except OSError:
            return
        self.waiting = max(self.waiting, *found.values(), 0.0)

    def stop(self) -> None:
        """Ask no more: the worker is about to end. An answer that is under way does not count."""
        self._over.set()

    @property
    def is_ready(self) -> bool:
        """Whether the last answer of `/ready` said so."""
        return next((status == 200 for _, path, _, status in reversed(self.answers) if path == "/ready"), False)


def get(port: int, path: str) -> tuple[int, str]:
    """Ask a process of this machine: the status and the text. Raises OSError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def samples_of(port: int) -> dict[str, dict[str, float]]:
    """Return a process's metrics: by name, and by the last of the labels."""
    found: dict[str, dict[str, float]] = {}
    for family in parsed(get(port, "/metrics")[1]):
        for sample in family.samples:
            labels = list(sample.labels.values())
            if not sample.name.endswith("_created"):
                found.setdefault(family.name, {})[labels[-1] if labels else ""] = sample.value
    return found


def slowest(probes: Sequence[Probed], most: int = 10) -> list[tuple[float, str, str]]:
    """The answers that took longest: seconds, worker and path, with the status."""
    found = [(took, probe.name, f"{path} {status}") for probe in probes for _, path, took, status in probe.answers]
    return sorted(found, reverse=True)[:most]
