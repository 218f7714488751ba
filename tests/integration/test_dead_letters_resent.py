"""One bad producer among good ones: told as critical, the others counted; mended, sent again, all is as in truth."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from app.kafka.topics import ensure_topics
from app.registration.monitoring import monitoring_of
from app.registration.publish import register
from app.settings.settings import Settings, environment
from tests.support.run_command import typed
from tests.support.stream import (
    MONITORING,
    PANE,
    START,
    VERSION,
    Counts,
    Truth,
    differences,
    frame,
    send,
    truth,
    worker,
)
from topics.events import AlertEvent
from topics.registry import ALERTS, PANES, PREDICTIONS, REPORTS

GOOD, SPOILT, STRANGER = "stream", "spoilt", "stranger"
"""A sound producer's model, that of one which sends milliseconds, and one that is registered too late."""
MEND = f"""{sys.executable} -c "
import sys, json
for line in sys.stdin:
    event = json.loads(line)
    event['timestamp'] /= 1000
    print(json.dumps(event))
" """
UNREADABLE = [b'{"broken": ', b"\xff\x00", b""]


def of_model(model: str, wanted: Truth, *, factor: float = 1.0) -> Truth:
    """The same of another model; times are `factor` times what they should be."""

    def changed(topic: str, value: bytes) -> bytes:
        event = msgspec.json.decode(value)
        if topic == PREDICTIONS.name:
            event |= {"model": model, "timestamp": event["timestamp"] * factor}
        return msgspec.json.encode(event)

    records = [(topic, key, changed(topic, value)) for topic, key, value in wanted.records]
    return Truth(records, wanted.panes, wanted.confusion, wanted.rows)


async def driftline(*words: str) -> tuple[object, str]:
    """The exit status of a command, and what it prints."""
    status, out, err = await asyncio.to_thread(typed, *words)
    assert err == "", err
    return status, out


class World:
    """What the topics say of each model, and the alerts."""

    def __init__(self, settings: Settings, consumer: AIOKafkaConsumer) -> None:
        self.settings, self._consumer = settings, consumer
        self.counts: Mapping[str, Counts] = defaultdict(Counts)
        self.alerts: list[AlertEvent] = []

    async def read(self) -> None:
        """Take what is there."""
        for at, records in (await self._consumer.getmany(timeout_ms=100)).items():
            for record in records:
                if at.topic.endswith(ALERTS.name):
                    self.alerts.append(msgspec.json.decode(record.value, type=AlertEvent))
                elif record.value:
                    self.counts[json.loads(record.value)["model"]].take(at.topic, record.value)

    async def until_equal(self, wanted: Mapping[str, Truth], seconds: float = 40) -> None:
        """Read until each model's counts are the truth."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            await self.read()
            if all(self.counts[model].equal(one) for model, one in wanted.items()):
                return
        for model, one in wanted.items():
            assert self.counts[model].equal(one), f"{model}: {differences(self.counts[model], one)}"

    async def until_alert(self, status: str, rule: str, model: str, seconds: float = 40) -> AlertEvent:
        """The newest alert of a rule of a model, once it has the status."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            await self.read()
            found = [one for one in self.alerts if (one.rule, one.labels["model"]) == (rule, model)]
            if found and found[-1].status == status:
                return found[-1]
        raise AssertionError(f"no {status} {rule} of {model}: {[(a.status, a.title) for a in self.alerts]}")


async def registered(settings: Settings, model: str) -> None:
    """Register a model as `tests.support.stream` does its own."""
    await register(settings, model, VERSION, frame(2000), monitoring_of(MONITORING))


async def close(settings: Settings, model: str) -> None:
    """Close all windows of a model."""
    beat = msgspec.json.encode({"model": model, "model_version": VERSION, "timestamp": START + 3600 + 10 * PANE})
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers) as producer:
        for partition in range(settings.partitions):
            await producer.send_and_wait(
                PREDICTIONS.full_name(settings.prefix), beat, partition=partition, headers=[("driftline", b"heartbeat")]
            )


@pytest.mark.timeout(150)
async def test_a_bad_producer_stops_nobody_and_mended_its_records_are_counted_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.model_copy(update={"dead_letter_window": 100})
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    good = truth(1000, seed=31)
    spoilt, stranger = truth(600, seed=32, duplicated=0.0), of_model(STRANGER, truth(300, seed=33, duplicated=0.0))
    sent = of_model(SPOILT, spoilt, factor=1000.0)
    await ensure_topics(settings)
    await registered(settings, GOOD)
    await registered(settings, SPOILT)
    broken = [(PREDICTIONS.name, b"broken-%d" % i, UNREADABLE[i % 3]) for i in range(60)]
    mixed = [one for three in zip(good.records, sent.records, stranger.records, strict=False) for one in three]
    n = len(mixed) // 3
    await send(settings, [*mixed, *broken, *good.records[n:], *sent.records[n:], *stranger.records[n:]])
    names = [topic.full_name(settings.prefix) for topic in (PANES, REPORTS, ALERTS)]
    consumer = AIOKafkaConsumer(*names, bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        with worker(settings) as process:
            world = World(settings, consumer)
            await world.until_equal({GOOD: good})
            fired = await world.until_alert("firing", "dead_letters", SPOILT)
            assert fired.level == "critical"
            assert "100% of its newest predictions are dead letters" in fired.title
            assert (await world.until_alert("firing", "unregistered", "driftline")).level == "error"
            assert process.poll() is None
            await check_lists()
            await resend_all(settings, world, {GOOD: good, SPOILT: spoilt}, {STRANGER: stranger})
            await world.until_alert("resolved", "dead_letters", SPOILT)
            assert process.poll() is None
    finally:
        await consumer.stop()


def predictions_of(wanted: Truth) -> int:
    """How many predictions were sent."""
    return sum(topic == PREDICTIONS.name for topic, _, _ in wanted.records)


async def check_lists() -> None:
    """What the commands say of what was set aside, before anything is sent again."""
    status, out = await driftline("dead-letters", "list", "--json")
    found = {(one["model"], one["kind"]): one for one in map(json.loads, out.splitlines())}
    outside = found[SPOILT, "`timestamp` is outside 1970 to 2100"]
    assert (status, outside["letters"], outside["open"], outside["topic"]) == (0, 600, 600, "predictions")
    assert found[STRANGER, "unknown `model_version`"]["letters"] == 300
    assert sum(one["letters"] for (model, _), one in found.items() if model is None) == 60
    status, out = await driftline("dead-letters", "show", "--model", SPOILT, "--last", "1", "--json")
    letter: dict[str, Any] = json.loads(out)
    assert (letter["reason"].split(":")[0], letter["key"]) == (
        "`timestamp` is outside 1970 to 2100", json.loads(letter["value"])["prediction_id"],
    )  # fmt: skip
    status, out = await driftline("dead-letters", "show", "--reason", "malformed", "--last", "100")
    assert "\\xff\\x00" in out
    _, out = await driftline("top", "--json")
    top = json.loads(out)
    (marked,) = [one for one in top["models"] if one["model"] == SPOILT]
    assert (marked["dead_letter_share"], marked["state"]) == (1.0, "alerting")
    assert [one["dead_letter_share"] for one in top["models"] if one["model"] == GOOD] == [None]
    assert [(one["name"], one["count"]) for one in top["monitor"]["not_counted"]["unregistered"]] == [
        (f"{STRANGER} {VERSION}", 300)
    ]


async def resend_all(settings: Settings, world: World, wanted: dict[str, Truth], later: dict[str, Truth]) -> None:
    """Mend, send again, twice; each time the counts are the truth."""
    mend = ("dead-letters", "resend", "--model", SPOILT, "--json", "--through", MEND)
    status, out = await driftline("dead-letters", "resend", "--model", SPOILT, "--json")
    assert (status, json.loads(out)["sent"]) == (1, {}), "what still cannot be read is not sent"
    status, out = await driftline(*mend, "--dry-run")
    assert (status, json.loads(out)) == (0, {"sent": {"predictions": 600}, "left_out": {}, "dry_run": True})
    status, out = await driftline(*mend)
    assert (status, json.loads(out)["sent"]) == (0, {"predictions": 600})
    await close(settings, SPOILT)
    await world.until_equal(wanted)
    status, out = await driftline(*mend)
    assert (status, json.loads(out)["sent"], list(json.loads(out)["left_out"].values())) == (1, {}, [600])
    status, out = await driftline(*mend, "--again")
    assert (status, json.loads(out)["sent"]) == (0, {"predictions": 600})
    status, out = await driftline("dead-letters", "resend", "--reason", "not registered")
    assert (status, "left out 300: its model version is not registered" in out) == (1, True), out
    await registered(settings, STRANGER)
    status, out = await driftline("dead-letters", "resend", "--reason", "not registered")
    assert (status, out.splitlines()[-1]) == (0, "sent 300 (300 predictions)")
    await close(settings, STRANGER)
    await world.until_equal({**wanted, **later})
