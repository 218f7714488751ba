"""A storm of records that cannot be read: where that is set, the worker stops and says so, and reroutes no more."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from app.faust_batches.app import HELD
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.kafka_topics import values_of
from tests.support.stream import differences, register_model, send, truth, until, until_equal, worker
from tests.support.worker_process import log_of, quick
from topics.events import AlertEvent
from topics.registry import ALERTS, DEAD_LETTERS, PREDICTIONS

EVENTS = 2000
STORM = 1500
WINDOW = 200
SHARE = 0.5


async def storm(settings: Settings) -> None:
    """Records that no one can read, on every partition."""
    name = PREDICTIONS.full_name(settings.prefix)
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, linger_ms=5) as producer:
        sent = [await producer.send(name, b'{"broken": ', b"storm-%d" % i) for i in range(STORM)]
        await asyncio.gather(*sent)


async def alerts_of(settings: Settings) -> list[AlertEvent]:
    """Every transition of every alert."""
    values = await values_of(settings, ALERTS.full_name(settings.prefix), settings.partitions)
    return [msgspec.json.decode(value, type=AlertEvent) for value in values]


async def ends_of(settings: Settings, alert: AlertEvent) -> list[AlertEvent]:
    """The transitions that resolve an alert."""
    ended = [one for one in await alerts_of(settings) if one.status == "resolved"]
    return [one for one in ended if one.fingerprint == alert.fingerprint]


async def told(settings: Settings, words: str) -> bool:
    """Whether the file channel comes to have the words."""
    async with asyncio.timeout(30):
        while not any(words in path.read_text() for path in settings.alerts_dir.iterdir()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return True


@pytest.mark.timeout(180)
async def test_a_storm_stops_the_worker_and_it_goes_on_when_it_is_told_to(settings: Settings) -> None:
    settings = quick(settings).model_copy(
        update={
            "dead_letter_stop": True,
            "partitions": 2,
            "dead_letter_window": WINDOW,
            "dead_letter_share": SHARE,
            "max_batch_records": 60,
        }
    )
    most = round(settings.partitions * WINDOW * SHARE)
    wanted = truth(EVENTS, seed=41)
    half = len(wanted.records) // 2
    letters = DEAD_LETTERS.full_name(settings.prefix)
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records[:half], close=False)
    began = datetime.fromtimestamp(int(time.time() * 1000) / 1000, UTC)  # to the millisecond, as records have it
    await storm(settings)
    await send(settings, wanted.records[half:])
    for life in range(2):
        with worker(settings, f"stopped-{life}") as process:
            assert await asyncio.to_thread(process.wait, 60) == HELD, log_of(settings)
        assert "Nothing is counted, and nothing lost, until somebody acts" in log_of(settings, f"stopped-{life}")
        assert 0 < len(await values_of(settings, letters, 1)) <= most, "rerouted more than the window lets pass"
    alerts = await alerts_of(settings)
    stopped = [alert for alert in alerts if alert.rule == "monitor"]
    assert {(alert.labels["model"], alert.status) for alert in stopped} == {("driftline", "firing")}
    assert len({alert.fingerprint for alert in stopped}) == 1
    assert await told(settings, "driftline has stopped: predictions cannot be read")
    counts = await until(settings, lambda _: False, 1)
    assert all(counts.inputs[at][1] <= wanted.panes[at[0]] for at in counts.inputs)
    accepting = ("-m", "app.cli", "worker", "--accept-dead-letters")
    with worker(settings, "accepting", accepting):
        counts = await until_equal(settings, wanted, 60)
        assert await told(settings, "driftline continues: predictions is read again")
    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings, "accepting")
    (over,) = await ends_of(settings, stopped[0])
    assert over.ended_at is not None
    assert began <= over.started_at <= over.ended_at, "it began with a record of the storm, on either partition"
    assert STORM <= len(await values_of(settings, letters, 1)) <= STORM + 2 * most
    with worker(settings, "later") as process:  # what was accepted stays so
        await send(settings, [])
        await until(settings, lambda _: "recovered" in log_of(settings, "later"), 30)
        assert process.poll() is None
    assert await ends_of(settings, stopped[0]) == [over]
