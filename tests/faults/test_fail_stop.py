"""An agent's unexpected error ends the worker before any later run is applied; the next one counts everything once."""

from __future__ import annotations

import asyncio

import pytest

from app.faust_batches.app import FAILED
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.stream import differences, register_model, send, truth, until_equal, worker
from tests.support.worker_process import log_of, quick

EVENTS = 3000
FAILING = """
import inspect, sys
from pathlib import Path

import agents.join.intake
from app.ingest.decoding import ids_of
from app.settings.settings import load_settings
from app.worker import run_worker
from app.worker.output import KafkaOutput

owner, name, when, notes = *sys.argv[1:4], Path(sys.argv[4])
published = name.encode()
owner, name = (KafkaOutput, "publish") if owner == "outlet" else (agents.join.intake, name)
applied = getattr(owner, name)
id_ = ids_of([when.encode()])[0]
calls = 0

def note(line):
    with notes.open("a") as file:
        file.write(line + "\\n")

def fail_if_it_is_time(given):
    global calls
    calls += 1
    note("applied")
    seen = calls == int(when) if when.isdigit() else (given.ids == id_).all(axis=1).any()
    if seen and "failed" not in notes.read_text():
        note("failed")
        raise RuntimeError("a fault in the middle")

def failing(first, given):
    found = applied(first, given)
    fail_if_it_is_time(given)
    return found

async def failing_later(first, topic, records):
    await applied(first, topic, records)
    if any(published in (one.key or b"").split(b"/") for one in records):
        fail_if_it_is_time(records)

setattr(owner, name, failing_later if inspect.iscoroutinefunction(applied) else failing)
sys.exit(run_worker(load_settings()))
"""
"""A worker that fails once: after `name` of `owner` has done its work, at a call's number or when it sees an id.

Of the outlet `name` is the kind of what it has published, as its key names it.
"""


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("owner", "name", "when"),
    [
        pytest.param("join", "add_predictions", f"p7-{EVENTS // 2}", id="predictions counted and not yet saved"),
        pytest.param("join", "add_feedback", f"p7-{EVENTS // 2}", id="feedback joined and not yet saved"),
        pytest.param("outlet", "progress", "3", id="panes published and their delta not written"),
        pytest.param("outlet", "drift", "1", id="reports published and not noted"),
    ],
)
async def test_an_error_ends_the_worker_and_nothing_is_lost(
    settings: Settings, owner: str, name: str, when: str
) -> None:
    settings = quick(settings).model_copy(update={"max_batch_records": 100, "reissue_seconds": 0.5})
    wanted = truth(EVENTS, seed=7)
    if not when.isdigit():  # one with feedback, and not among the last
        when = next(key.decode() for topic, key, _ in wanted.records[EVENTS // 2 :] if topic == "feedback")
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    notes = settings.state_dir / "notes"
    with worker(settings, "failing", ("-c", FAILING, owner, name, when, str(notes))) as process:
        status = await asyncio.to_thread(process.wait, 60)
    assert status == FAILED, log_of(settings)
    said = notes.read_text().split()
    assert said.count("failed") == 1
    assert said[-1] == "failed", "something was applied after the failure"
    assert "nothing is skipped: RuntimeError at " in log_of(settings, "failing")
    assert "a fault in the middle" not in (settings.state_dir / "failing.log").read_text()  # words may hold a value
    with worker(settings, "next"):
        counts = await until_equal(settings, wanted, 45)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
