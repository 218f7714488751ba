"""More partitions, while a model is served and its alert fires: a new prefix goes on where the old one has stopped."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from app.kafka.client_options import client_options
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.run_command import typed
from tests.support.stream import MODEL, VERSION, frame, register_model, worker
from tests.support.worker_process import log_of, quick
from topics.events import AlertEvent, DeliveryEvent, PaneEvent, PanePartial
from topics.registry import ALERTS, DELIVERIES, FEEDBACK, PANES, PREDICTIONS

RATE = 100
BEFORE = 20.0
"""Seconds that have been sent when the first worker starts."""
LATE = 3.0
"""Seconds after which a prediction's truth comes."""
WINDOWS = {"pane": 1.0, "panes": 5, "allowance": 2.0, "retention": 3600.0, "lateness": 60.0, "idle_after": 1.0}
SECONDS = 40


class Serving:
    """A model that is served: predictions at a rate, and the truth of each, LATE seconds after."""

    def __init__(self, producer: AIOKafkaProducer, prefix: str) -> None:
        self.prefix = prefix
        """Of the topic that predictions are sent to."""
        self.shift = 2.0
        self.predictions: Counter[int] = Counter()
        self.truths: Counter[int] = Counter()
        self.stopped = False
        self._producer, self._old = producer, prefix
        self._rows = frame(5000, 7).to_dict("records")
        self._began = time.time() - BEFORE

    async def run(self) -> None:
        """Send what is due, until it is `stopped` and every truth is sent."""
        sent = answered = 0
        last: int | None = None
        while last is None or answered < last:
            if last is None:
                due = int((time.time() - self._began) * RATE)
                for i in range(sent, due):
                    await self._predict(i)
                sent = due
                last = sent if self.stopped else None
            due = min(sent, int((time.time() - LATE - self._began) * RATE))
            for i in range(answered, due):
                await self._answer(i)
            answered = max(answered, due)
            await asyncio.sleep(0.02)
        await self._producer.flush()

    async def _predict(self, i: int) -> None:
        row, at = self._rows[i % len(self._rows)], self._began + i / RATE
        event = {
            "prediction_id": f"p{i}", "model": MODEL, "model_version": VERSION, "timestamp": at,
            "features": {"size": row["size"] + self.shift, "colour": row["colour"]},
            "prediction": row["prediction"], "probability": row["probability"],
        }  # fmt: skip
        self.predictions[int(at)] += 1
        await self._producer.send(self.prefix + PREDICTIONS.name, msgspec.json.encode(event), f"p{i}".encode())

    async def _answer(self, i: int) -> None:
        """The truth, to the old prefix: it is switched last."""
        actual = self._rows[i % len(self._rows)]["target"]
        self.truths[int(self._began + i / RATE)] += 1
        value = msgspec.json.encode({"prediction_id": f"p{i}", "actual": actual})
        await self._producer.send(self._old + FEEDBACK.name, value, f"p{i}".encode())


class Seen:
    """What two prefixes say, as it is read."""

    def __init__(self, consumer: AIOKafkaConsumer, new: str) -> None:
        self._consumer, self._new = consumer, new
        self.alerts: dict[str, AlertEvent] = {}
        self.raised: set[str] = set()
        self.delivered: set[bytes] = set()
        self.draining: set[int] = set()
        """Partitions of the old prefix whose progress was heard, since panes were copied: the copy's is idle."""
        self._panes: dict[tuple[str, float, int], PanePartial] = {}

    async def until(self, enough: Callable[[], bool]) -> bool:
        """Read on until it is enough, or the time is over."""
        deadline = time.monotonic() + SECONDS
        while not enough() and time.monotonic() < deadline:
            for tp, records in (await self._consumer.getmany(timeout_ms=50)).items():
                for record in records:
                    self._take(tp.topic, record.value)
        return enough()

    def _take(self, topic: str, value: bytes) -> None:
        if topic.endswith(ALERTS.name):
            alert = msgspec.json.decode(value, type=AlertEvent)
            self.alerts[alert.alert_id] = alert
            if topic.startswith(self._new):
                self.raised.add(alert.alert_id)
        elif topic.endswith(DELIVERIES.name):
            self.delivered.add(value)
        elif topic.startswith(self._new):
            event = msgspec.json.decode(value, type=PaneEvent)
            if isinstance(event, PanePartial):
                key = (event.kind, event.pane_start, event.partition)
                if key not in self._panes or self._panes[key].revision <= event.revision:
                    self._panes[key] = event
            elif event.partition < 0 and not event.idle:
                self.draining.add(event.partition)

    def statuses(self) -> list[tuple[str, str]]:
        return [(alert.rule, alert.status) for alert in self.alerts.values()]

    def counted(self, kind: str) -> Counter[int]:
        """Of each pane, how many predictions or truths the new prefix has."""
        found: Counter[int] = Counter()
        for (of, start, _), pane in self._panes.items():
            if of == kind:
                counts = np.frombuffer(pane.counts, "<i8")[np.frombuffer(pane.indices, "<i4") < 4]
                found[int(start)] += pane.n if kind == "input" else int(counts.sum())
        return +found

    @property
    def of_the_old(self) -> set[int]:
        """The source partitions of the old prefix."""
        return {partition for _, _, partition in self._panes if partition < 0}


@asynccontextmanager
async def seeing(old: Settings, new: Settings) -> AsyncIterator[Seen]:
    """Read both prefixes from their beginnings."""
    topics = [topic.full_name(one.prefix) for one in (old, new) for topic in (PANES, ALERTS, DELIVERIES)]
    consumer = AIOKafkaConsumer(*topics, **client_options(old), auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield Seen(consumer, new.prefix)
    finally:
        await consumer.stop()


@pytest.mark.timeout(170)
async def test_a_new_prefix_with_more_partitions_goes_on_with_what_the_old_one_knows(settings: Settings) -> None:
    old = quick(settings)
    new = old.model_copy(
        update={"prefix": f"{old.prefix}16.", "group": f"{old.group}-16", "partitions": old.partitions + 2}
    )
    assert old.bootstrap_servers is not None
    copy = (
        "copy", "--bootstrap-servers", old.bootstrap_servers, "--from-prefix", old.prefix, "--prefix", new.prefix,
        "--group", new.group, "--partitions", str(new.partitions), "--json", "--from-group",
    )  # fmt: skip
    for one in (old, new):
        await ensure_topics(one)
    await register_model(old, {**WINDOWS})
    producer = AIOKafkaProducer(**client_options(old), linger_ms=5)
    await producer.start()
    serving = Serving(producer, old.prefix)
    sending = asyncio.create_task(serving.run())
    try:
        async with seeing(old, new) as seen:
            with worker(old, "old"):
                fires = await seen.until(lambda: ("data_drift", "firing") in seen.statuses() and bool(seen.delivered))
                assert fires, log_of(old)
                _, _, refused = await asyncio.to_thread(typed, *copy, old.group)
                assert "run still: stop them" in refused
            _, _, refused = await asyncio.to_thread(typed, *copy, "nobody")
            assert "no worker of group 'nobody' has saved anything" in refused
            out = ""
            for _ in range(2):  # again, and nothing changes
                status, out, refused = await asyncio.to_thread(typed, *copy, old.group)
                assert status == 0, refused
            copied = msgspec.json.decode(out)["records"]
            await seen.until(lambda: len(seen.alerts) >= copied["alerts"])  # some have come until the worker stopped
            assert (copied["models"], copied["alerts"], copied["receivers"]) == (1, len(seen.alerts), 0)
            with worker(old.model_copy(update={"drain_to": new.prefix}), "drain"):
                drains = await seen.until(lambda: len(seen.draining) == old.partitions)
                assert drains, log_of(old)
                with worker(new, "new"):
                    serving.prefix = new.prefix
                    joined = await seen.until(lambda: len(seen.of_the_old) == old.partitions and len(seen.raised) > 0)
                    assert joined, log_of(old)
                    serving.shift = 0.0
                    over = await seen.until(lambda: ("data_drift", "resolved") in seen.statuses())
                    assert over, log_of(old)
                    rules = {alert.rule for alert in seen.alerts.values()}  # from here on predictions really stop
                    serving.stopped = True
                    await sending
                    equal = await seen.until(
                        lambda: (
                            seen.counted("input") == serving.predictions and seen.counted("outcome") == serving.truths
                        )
                    )
                    assert equal, log_of(old)
            ended = {alert.alert_id for alert in seen.alerts.values() if alert.status == "resolved"}
            told = await seen.until(lambda: ended <= {one.alert_id for one in deliveries(seen)})
            assert told, log_of(old)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await producer.stop()
    assert rules & {"traffic", "feedback", "unmatched", "monitor"} == set()
    assert_no_alert_is_lost_or_doubled(seen)


def assert_no_alert_is_lost_or_doubled(seen: Seen) -> None:
    by_name: dict[str, list[AlertEvent]] = {}
    for alert in seen.alerts.values():
        by_name.setdefault(alert.fingerprint, []).append(alert)
    for transitions in by_name.values():
        assert [alert.status for alert in transitions] in (["firing"], ["firing", "resolved"])
        assert len({alert.started_at for alert in transitions}) == 1
    twice = Counter((one.alert_id, one.channel) for one in deliveries(seen))
    assert set(twice.values()) == {1}, twice


def deliveries(seen: Seen) -> list[DeliveryEvent]:
    return [msgspec.json.decode(one, type=DeliveryEvent) for one in seen.delivered]
