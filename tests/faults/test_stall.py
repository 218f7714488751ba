"""A worker that stands still while there is more to read ends itself, and its supervisor starts another."""

from __future__ import annotations

import asyncio
import sys

import pytest

from app.kafka.topics import ensure_topics
from app.processes.supervisor import Backoff, ChildCommand, Supervisor
from app.settings.settings import Settings, environment
from tests.support.stream import differences, register_model, send, truth, until_equal, worker
from tests.support.worker_process import log_of, quick

EVENTS = 3000
STALL_SECONDS = 4.0
FREEZING = """
import asyncio, sys, time
from pathlib import Path

import app.worker.process
from agents.join.agent import JoinAgent
from app.settings.settings import load_settings
from app.faust_batches.transport import BatchConsumer

what, notes = sys.argv[1], Path(sys.argv[2])
getmany, handle = BatchConsumer.getmany, JoinAgent.handle
runs = 0

def is_time():
    if runs < 5 or notes.exists():
        return False
    notes.touch()
    return True

async def counted(self, batch, out):
    global runs
    runs += bool(batch.records)
    if what == "agent" and is_time():
        await asyncio.Event().wait()
    if what == "loop" and is_time():
        time.sleep(3600)
    await handle(self, batch, out)

async def frozen(self, timeout):
    if what == "reading" and is_time():
        await asyncio.Event().wait()
    if what == "thread" and is_time():
        self._thread.thread_loop.call_soon_threadsafe(time.sleep, 3600)
    async for found in getmany(self, timeout):
        yield found

JoinAgent.handle, BatchConsumer.getmany = counted, frozen
sys.exit(app.worker.process.run_worker(load_settings()))
"""
"""A worker of which something stands still for ever after five runs, once: `what` is the first argument."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "what",
    [
        pytest.param("thread", id="the consumer's thread"),
        pytest.param("loop", id="the event loop", marks=pytest.mark.long),
        pytest.param("reading", id="the fetching of runs", marks=pytest.mark.long),
        pytest.param("agent", id="an agent", marks=pytest.mark.long),
    ],
)
async def test_a_worker_that_stands_still_is_replaced(settings: Settings, what: str) -> None:
    settings = quick(settings).model_copy(update={"stall_seconds": STALL_SECONDS, "max_batch_records": 50})
    wanted = truth(EVENTS, seed=31)
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records)
    env = environment(settings)
    settings.state_dir.mkdir(parents=True)
    notes, said = settings.state_dir / "notes", settings.state_dir / "worker.log"
    argv = ["-c", FREEZING, what, str(notes)]
    script = f"exec {sys.executable} \"$@\" 2>>'{said}'"
    told: list[str] = []
    command = ChildCommand("worker", ["sh", "-c", script, "sh", *argv], env=env)
    with Supervisor([command], tell=told.append, backoff=Backoff(first=0.1)) as supervisor:
        counts = await until_equal(settings, wanted, 70)
        restarts = supervisor.restarts()["worker"]
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
    assert notes.exists()
    assert restarts == 1, log_of(settings)
    assert told == ["worker ended (exit status 70); it is started again in 0.1 s"]
    (line,) = [line for line in said.read_text().splitlines() if "stalled" in line]
    assert line.startswith(f"driftline: stalled: {settings.prefix}")
    assert "(stall_seconds); the worker ends, to be started again" in line


@pytest.mark.timeout(90)
async def test_an_idle_worker_and_one_that_is_slow_are_left_alone(settings: Settings) -> None:
    settings = quick(settings).model_copy(update={"stall_seconds": 2.0, "max_batch_records": 50})
    wanted = truth(300, seed=32)
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records)
    slow = "import agents.join.intake, time; taken = agents.join.intake.add_predictions; "
    slow += "agents.join.intake.add_predictions = lambda *given: (time.sleep(0.5), taken(*given))[1]; "
    slow += "import sys; from app.cli import main; sys.exit(main())"
    with worker(settings, command=("-c", slow, "worker")) as process:
        counts = await until_equal(settings, wanted, 45)
        await asyncio.sleep(3 * settings.stall_seconds)  # idle: what is shown is that nothing happens
        assert process.poll() is None, log_of(settings)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
