"""Three workers that come and go under the load of many models: who is asked answers, and no report is late."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.core.config.routes import Route
from app.faust_batches.app import MOST_POLLED
from app.kafka.topics import ensure_topics
from app.local.kafka_probe import free_ports
from app.processes.guarded import GuardedProcess
from app.recorder.recording import MOST_RECORDS
from app.settings.settings import Settings
from tests.support.many_models import (
    PANE,
    WINDOWS,
    Heard,
    Load,
    Probed,
    name_of,
    producing,
    register_models,
    samples_of,
    slowest,
)
from tests.support.receivers import answering, receiver
from tests.support.stream import worker
from tests.support.worker_process import log_of, stayed

RATE = float(os.environ.get("RATE", "400"))
"""Predictions a second; with truth for every second one that is 600 events."""
MODELS = int(os.environ.get("MODELS", "200"))
MIN_SAMPLES = min(50, int(RATE / MODELS * PANE * WINDOWS["panes"] * 0.6))
"""Rows that a window is judged from: it has more at every rate."""
BACKLOG_SECONDS = 300
CHANGES = ("join", "join", "kill", "join", "stop", "join", "kill", "stop", "join", "join")
LATEST = 15.0
"""By how many seconds a change may delay a report."""
ANSWER = 1.0
"""Seconds in which a probe is to answer."""
LOST = re.compile(r"session expired|not recognized|generation id is not|UnknownMember|IllegalGeneration", re.IGNORECASE)
MINUTES = float(os.environ.get("MINUTES", "10"))


class Group:
    """The workers of a group, each with its probes."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self.there: list[tuple[GuardedProcess, Probed]] = []
        self.probes: list[Probed] = []

    async def join(self) -> Probed:
        (port,) = free_ports(1)
        name = f"come-{len(self.probes)}"
        own = self._settings.model_copy(update={"metrics_port": port})
        process = self._stack.enter_context(worker(own, name))
        probe = Probed(name, port)
        self._stack.callback(probe.stop)
        self.there.append((process, probe))
        self.probes.append(probe)
        return probe

    async def leave(self, number: int) -> None:
        process, probe = self.there.pop(0)
        probe.stop()
        process.send_signal(number)
        assert await asyncio.to_thread(process.wait, 30) in {0, 128 + signal.SIGKILL}, log_of(
            self._settings, probe.name
        )

    async def settle(self, seconds: float) -> None:
        """Return when all are ready. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not all(probe.is_ready for _, probe in self.there):  # noqa: ASYNC110 - they are asked in threads
                await asyncio.sleep(0.1)

    async def change(self, what: str) -> None:
        if what == "join" and len(self.there) < 3:
            await self.join()
        elif what != "join" and len(self.there) > 1:
            await self.leave(signal.SIGKILL if what == "kill" else signal.SIGTERM)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_three_workers_that_come_and_go_under_two_hundred_models(settings: Settings, tmp_path: Path) -> None:
    """`MINUTES`, `MODELS` and `RATE` of the environment make it smaller, for a machine that is busy."""
    seen = await come_and_go(settings)
    figures = seen.figures()
    print(figures)
    (tmp_path / "figures.txt").write_text(figures)
    assert any(parts for found in seen.kept.values() for parts in found), figures
    assert not seen.lost, figures
    assert not seen.missing, figures
    assert not seen.doubled, figures
    assert seen.waiting <= MOST_POLLED, figures
    assert seen.recorded_first <= MOST_RECORDS, figures
    assert max(seen.answers) <= ANSWER, figures
    assert seen.latest[0][0] <= seen.quiet + LATEST, figures


@dataclass
class Seen:
    """What came of it. `began`, `changed`, `ended`: when the load began, workers first changed, and were left alone."""

    group: Group
    heard: Heard
    load: Load
    posted: Counter[str]
    recorded_first: float
    began: float
    changed: float
    ended: float
    logs: dict[str, str]

    def __post_init__(self) -> None:
        first = (int(self.began / PANE) + 2) * PANE
        ends = [first + PANE * i for i in range(int((self.ended - first) / PANE))]
        found = self.heard.delays
        self.quiet = max(
            (late for (_, end), late in found.items() if self.began < end < self.changed - PANE), default=0
        )
        wanted = [(name_of(i), end) for i in range(MODELS) for end in ends]
        self.missing = [key for key in wanted if key not in found]
        self.latest = sorted(((found[key], key) for key in wanted if key in found), reverse=True)
        self.by_window = [round(max(found.get((name_of(i), end), 0.0) for i in range(MODELS)), 1) for end in ends]
        self.kept = {name: stayed(log) for name, log in self.logs.items()}
        self.lost, self.late = self._lines(LOST.search), self._lines(re.compile("event loop was late").search)
        self.doubled = {name: times for name, times in self.posted.items() if times > 1}
        self.answers = [took for probe in self.group.probes for *_, took, _ in probe.answers]
        self.waiting = max(probe.waiting for probe in self.group.probes)

    def _lines(self, is_one: Callable[[str], object]) -> list[str]:
        return [f"{name} {line}" for name, log in self.logs.items() for line in log.splitlines() if is_one(line)]

    def figures(self) -> str:
        """Everything in a few lines."""
        slow = {limit: sum(took > limit for took in self.answers) for limit in (0.5, ANSWER)}
        return "\n".join([
            f"{MODELS} models, {RATE:g} predictions/s, {MINUTES:g} min; load at the end {os.getloadavg()}",
            f"answers {len(self.answers)}, slower than {slow}, slowest {slowest(self.group.probes)}",
            f"reports {len(self.latest)}, missing {len(self.missing)}, latest {self.latest[:5]}",
            f"before the first change: latest {self.quiet:.1f} s; by window {self.by_window}",
            f"notifications {self.posted.total()}, doubled {self.doubled}",
            f"sent {self.load.sent} and {self.load.answered}; feedback waiting in a worker: at most {self.waiting:g}",
            f"feedback that the recorder has written before its prediction {self.recorded_first:g}",
            f"stayed {self.kept}",
            *self.lost[:20], *self.late[:40],
        ])  # fmt: skip


async def come_and_go(settings: Settings) -> Seen:
    """Let workers come and go."""
    heard = Heard()
    (port,) = free_ports(1)
    async with receiver(answering(200)) as hook, AsyncExitStack() as stack:
        settings = settings.model_copy(update={
            "webhook_url": SecretStr(hook.origin), "checkpoint_seconds": 0.4, "tick_seconds": 0.25,
            "reissue_seconds": 2.0, "group_wait_seconds": 1.0, "routes": (Route(channels=("webhook",)),),
            "recorder_metrics_port": port,
        })  # fmt: skip
        await ensure_topics(settings)
        await register_models(settings, MODELS, MIN_SAMPLES)
        load = Load(settings, MODELS, drifting=MODELS // 10)
        group = Group(settings, stack)
        producer = await stack.enter_async_context(producing(settings))
        now = time.time()
        await load.send(producer, int(RATE * BACKLOG_SECONDS), lambda i: now - BACKLOG_SECONDS + i / RATE)
        await producer.flush()
        listening = asyncio.create_task(heard.follow(settings))
        stack.enter_context(worker(settings, "recorder", ("-m", "app.cli", "recorder")))
        await group.join()
        await group.settle(600)
        sending = asyncio.create_task(load.run(producer, RATE))
        async with asyncio.timeout(600):
            while not heard.caught_up:  # noqa: ASYNC110 - the backlog's windows are reported first
                await asyncio.sleep(1)
        began = time.time()
        await asyncio.sleep(3 * PANE)
        changed = time.time()
        load.drifts = True
        for change in range(int((MINUTES * 60 - 3 * PANE) / (2 * PANE))):
            await group.change(CHANGES[change % len(CHANGES)])
            await asyncio.sleep(2 * PANE)
            assert not sending.done(), sending.exception()
        ended = time.time() - 2 * PANE
        recorded_first = samples_of(port).get("driftline_recorder_rows", {}).get("waiting_feedback", 0.0)
        for task in (sending, listening):
            task.cancel()
    posted = Counter(request.headers.get("driftline-notification", "") for request in hook.requests)
    logs = {path.name: path.read_text() for path in settings.state_dir.glob("come-*.log")}
    return Seen(group, heard, load, posted, recorded_first, began, changed, ended, logs)
