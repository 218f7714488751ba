"""Workers killed, joined and stopped while they count: every pane, confusion matrix and report equals the truth."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from app.runtime.settings import Settings
from app.runtime.topic_admin import ensure_topics
from tests.stream import register_model, send, truth, until_equal, worker

EVENTS = 30_000
KILLS = 3


def quick(settings: Settings) -> Settings:
    """Settings under which a dead worker is missed soon."""
    return settings.model_copy(update={"session_seconds": 3.0, "max_run": 500})


def log_of(settings: Settings) -> str:
    logs = sorted(settings.state_dir.glob("*.log"))
    return "\n".join(f"--- {log.name}\n{Path(log).read_text()[-3000:]}" for log in logs)


@pytest.mark.timeout(240)
async def test_kill_9_loses_nothing_and_counts_nothing_twice(settings: Settings) -> None:
    settings = quick(settings)
    wanted = truth(EVENTS)
    await ensure_topics(settings)
    await register_model(settings)
    sending = asyncio.create_task(send(settings, wanted.records))
    for kill in range(KILLS):
        with worker(settings, f"killed-{kill}") as process:
            await until_equal(settings, wanted, 6.0 + kill)
            os.kill(process.pid, signal.SIGKILL)
    await sending
    with worker(settings, "last"):
        counts = await until_equal(settings, wanted, 90)
    assert counts.equal(wanted), log_of(settings)


@pytest.mark.timeout(240)
async def test_workers_that_join_and_leave_share_the_count(settings: Settings) -> None:
    settings = quick(settings)
    wanted = truth(EVENTS, seed=3)
    await ensure_topics(settings)
    await register_model(settings)
    sending = asyncio.create_task(send(settings, wanted.records))
    with worker(settings, "first"):
        await until_equal(settings, wanted, 5.0)
        with worker(settings, "second"):
            await until_equal(settings, wanted, 12.0)
        await sending
        counts = await until_equal(settings, wanted, 90)
    assert counts.equal(wanted), log_of(settings)
