"""Workers killed, joined and stopped while they count: every pane, confusion matrix and report equals the truth."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import ExitStack

import pytest

from app.kafka.topics import ensure_topics
from app.registration.monitoring import monitoring_of
from app.registration.publish import register
from app.settings.settings import Settings
from tests.support.stream import (
    MODEL,
    MONITORING,
    PANE,
    VERSION,
    Truth,
    differences,
    frame,
    register_model,
    send,
    truth,
    watching,
    worker,
)
from tests.support.worker_process import log_of, quick, stayed
from topics.registry import FEEDBACK

EVENTS = 30_000
MANY_EVENTS = 100_000
KILLS = 10


@pytest.mark.timeout(400)
async def test_ten_kills_lose_nothing_and_count_nothing_twice(settings: Settings) -> None:
    await kills_change_nothing(settings, MANY_EVENTS, KILLS)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_fifty_kills_lose_nothing_and_count_nothing_twice(settings: Settings) -> None:
    await kills_change_nothing(settings, 5 * MANY_EVENTS, 5 * KILLS)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_silence_becomes_the_same_truth_through_ten_kills(settings: Settings) -> None:
    """The truth "0" is never sent: after 5 panes silence means it, of all that were not answered."""
    wanted = truth(EVENTS)
    told = {key for topic, key, value in wanted.records if topic == FEEDBACK.name and b'"actual":"1"' in value}
    wanted.records = [one for one in wanted.records if one[0] != FEEDBACK.name or one[1] in told]
    wanted.confusion.clear()
    for i, row in enumerate(wanted.rows):
        actual = f"p2-{i}".encode() in told
        wanted.confusion[float(str(row["pane"])), actual * 2 + int(str(row["prediction"]))] += 1
    file = monitoring_of({**MONITORING, "performance": {"default_truth": {"value": 0, "after": 5 * PANE}}})
    await ensure_topics(settings)
    await register(settings, MODEL, VERSION, frame(2000), file)
    await kills_change_nothing(settings, EVENTS, KILLS, wanted)


async def kills_change_nothing(settings: Settings, events: int, kills: int, wanted: Truth | None = None) -> None:
    """Count so many predictions, with a worker that is killed so often at random moments.

    `wanted`: what they are and come to, of a model that is registered.
    """
    settings = quick(settings)
    moments = random.Random(9)
    await ensure_topics(settings)
    seconds = 60 * events / MANY_EVENTS if wanted is None else 300.0
    if wanted is None:
        wanted = truth(events)
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
            counts = await watch.until(lambda counts: counts.equal(wanted), seconds)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)


@pytest.mark.parametrize(
    ("events", "changes"),
    [
        pytest.param(EVENTS, 4, marks=pytest.mark.timeout(240)),
        pytest.param(10 * EVENTS, 24, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
async def test_workers_that_come_and_go_during_a_replay_share_the_count(
    settings: Settings, events: int, changes: int
) -> None:
    settings = quick(settings)
    wanted = truth(events, seed=3)
    moments = random.Random(10)
    await ensure_topics(settings)
    await register_model(settings)
    part = len(wanted.records) // (changes + 1)
    async with watching(settings) as watch:
        with ExitStack() as workers:
            there = [workers.enter_context(worker(settings, "come-0"))]
            for change in range(changes):
                slice_ = wanted.records[change * part : (change + 1) * part]
                sending = asyncio.create_task(send(settings, slice_, close=False))
                enough = watch.counts.predictions + moments.randrange(1, part // 3)
                name = f"come-{change + 1}"
                if len(there) < 2 or (change % 2 == 0 and len(there) < 3):
                    there.append(workers.enter_context(worker(settings, name)))
                    await watch.until(lambda _: "recovered" in log_of(settings, name), 45)  # noqa: B023
                else:  # it goes as workers are stopped, while it counts
                    there.pop(moments.randrange(len(there))).let_go()
                counts = await watch.until(lambda counts: counts.predictions >= enough, 45)  # noqa: B023
                assert counts.predictions >= enough, log_of(settings)
                await sending
            await send(settings, wanted.records[changes * part :])
            counts = await watch.until(lambda counts: counts.equal(wanted), 60 + events / 1000)
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
    logs = [path.read_text() for path in settings.state_dir.glob("come-*.log")]
    assert any(kept for log in logs for kept in stayed(log)), "nothing has stayed with anybody"
