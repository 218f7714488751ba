"""Workers killed, joined and stopped while they count: every pane, confusion matrix and report equals the truth."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from app.runtime.settings import Settings
from app.runtime.topic_admin import ensure_topics
from tests.stream import differences, register_model, send, truth, until, until_equal, watching, worker

EVENTS = 30_000
MANY_EVENTS = 100_000
KILLS = 10


def quick(settings: Settings) -> Settings:
    """Settings under which a dead worker is missed soon."""
    return settings.model_copy(update={"session_seconds": 2.0, "max_run": 500})


def log_of(settings: Settings, worker: str = "*") -> str:
    """The ends of the workers' logs."""
    logs = sorted(settings.state_dir.glob(f"{worker}.log"))
    return "\n".join(f"--- {log.name}\n{Path(log).read_text()[-3000:]}" for log in logs)


@pytest.mark.timeout(400)
async def test_ten_kills_lose_nothing_and_count_nothing_twice(settings: Settings) -> None:
    await kills_change_nothing(settings, MANY_EVENTS, KILLS)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_fifty_kills_lose_nothing_and_count_nothing_twice(settings: Settings) -> None:
    await kills_change_nothing(settings, 5 * MANY_EVENTS, 5 * KILLS)


async def kills_change_nothing(settings: Settings, events: int, kills: int) -> None:
    """Count so many predictions, with a worker that is killed so often at random moments."""
    settings = quick(settings)
    wanted = truth(events)
    moments = random.Random(9)
    await ensure_topics(settings)
    await register_model(settings)
    part = len(wanted.records) // (kills + 1)
    async with watching(settings) as watch:
        for kill in range(kills):
            await send(settings, wanted.records[kill * part : (kill + 1) * part], close=False)
            seen = watch.counts.predictions
            enough = seen + moments.randrange(1, part // 3)
            with worker(settings, f"killed-{kill}") as process:
                counts = await watch.until(lambda counts: counts.predictions >= enough, 45)  # noqa: B023
                assert counts.predictions > seen, log_of(settings)
                os.kill(process.pid, signal.SIGKILL)
        await send(settings, wanted.records[kills * part :])
        with worker(settings, "last"):
            counts = await watch.until(lambda counts: counts.equal(wanted), 60)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)


@pytest.mark.timeout(240)
async def test_workers_that_join_and_leave_share_the_count(settings: Settings) -> None:
    settings = quick(settings)
    wanted = truth(EVENTS, seed=3)
    await ensure_topics(settings)
    await register_model(settings)
    half = len(wanted.records) // 2
    with worker(settings, "first"):
        await send(settings, wanted.records[:half], close=False)
        await until(settings, lambda counts: counts.predictions > 0, 45)
        with worker(settings, "second"):
            sending = asyncio.create_task(send(settings, wanted.records[half:]))
            await until(settings, lambda counts: "pending predictions recovered" in log_of(settings, "second"), 45)
            await sending
        counts = await until_equal(settings, wanted, 40)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
