"""Alerts become signals once, and every signal reaches the hook, though who does it ends and another begins."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from app.kafka.producer import Producer
from app.kafka.topics import ensure_topics
from app.retraining import Hook, SignalsTable, hooks_of, of_check, publish
from app.retraining.loops import Retrain
from app.settings.settings import Settings
from tests.support.alert_events import alert_event
from tests.support.kafka_topics import records_of
from tests.support.run_command import driftline
from topics.events import AlertEvent, RetrainingEvent
from topics.registry import ALERTS, RETRAINING


def alert(number: str, version: str = "3", rule: str = "data_drift", age: float = 0.0) -> AlertEvent:
    emitted = datetime.now(UTC) - timedelta(seconds=age)
    labels = {"model": "churn", "model_version": version}
    return msgspec.structs.replace(alert_event(number), rule=rule, status="firing", labels=labels, emitted_at=emitted)


async def send(producer: Producer, *alerts: AlertEvent) -> None:
    for one in alerts:
        await producer.send(ALERTS, one.fingerprint.encode(), msgspec.json.encode(one))


@contextlib.asynccontextmanager
async def retraining(settings: Settings, producer: Producer, hooks: tuple[Hook, ...] = ()) -> AsyncIterator[None]:
    task = asyncio.create_task(Retrain(settings, producer, hooks).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def signals_of(settings: Settings, count: int) -> list[RetrainingEvent]:
    """All signals, once there are so many."""
    async with asyncio.timeout(40):
        while len(found := await records_of(settings, RETRAINING)) < count:  # noqa: ASYNC110 - Kafka tells nobody
            await asyncio.sleep(0.1)
    return [msgspec.json.decode(record.value, type=RetrainingEvent) for record in found]


async def lines_of(path: Path, count: int) -> list[str]:
    """The distinct lines of a file that a program appends to, once there are so many; the hook may be told twice."""
    async with asyncio.timeout(40):
        while not path.exists() or len(set(path.read_text().splitlines())) < count:  # noqa: ASYNC110, ASYNC240 - by a file
            await asyncio.sleep(0.05)
    return list(dict.fromkeys(path.read_text().splitlines()))  # noqa: ASYNC240


async def test_an_alert_asks_once_and_the_hook_is_told_over_restarts(settings: Settings, tmp_path: Path) -> None:
    await ensure_topics(settings)
    told, program = tmp_path / "told", tmp_path / "hook.py"
    program.write_text("import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')")
    settings = settings.model_copy(update={"retraining_command": (sys.executable, str(program), str(told))})
    hooks = hooks_of(settings)
    async with Producer(settings) as producer:
        await send(producer, alert("old", age=200_000), alert("1"), alert("2"), alert("other", rule="traffic"))
        async with retraining(settings, producer, hooks):
            (first,) = await signals_of(settings, 1)
            assert len(await lines_of(told, 1)) == 1
        await send(producer, alert("1"), alert("3"), alert("4", version="4", rule="performance"))
        async with retraining(settings, producer, hooks):
            signals = await signals_of(settings, 2)
            lines = await lines_of(told, 2)
        again = settings.model_copy(update={"retraining_debounce_seconds": 0.0})
        await send(producer, alert("5"), alert("5"))
        async with retraining(again, producer, hooks):
            signals = await signals_of(settings, 3)
            lines = await lines_of(told, 3)
    assert (first.alert_id, first.reason, first.source) == (alert("1").alert_id, "drift", "stream")
    assert [(one.model_version, one.reason) for one in signals] == [
        ("3", "drift"), ("4", "performance"), ("3", "drift"),
    ]  # fmt: skip
    assert [json.loads(line)["signal_id"] for line in lines] == [one.signal_id for one in signals]
    listed = driftline(settings, "retraining", "list", "--model", "churn", "--version", "3", "--json")
    assert [json.loads(line)["signal_id"] for line in listed.stdout.splitlines()] == [
        signals[0].signal_id, signals[2].signal_id,
    ]  # fmt: skip


async def test_a_check_and_an_alert_share_one_debounce(settings: Settings) -> None:
    await ensure_topics(settings)
    check = of_check("churn", "3", "drift", "age has drifted", {}, datetime.now(UTC))
    async with Producer(settings) as producer, SignalsTable(settings) as signals:
        assert await publish(producer, signals, check, 60)
        async with retraining(settings, producer):
            await send(producer, alert("1"), alert("2", version="4"))
            found = await signals_of(settings, 2)
    assert [(one.source, one.model_version) for one in found] == [("check", "3"), ("stream", "4")]
