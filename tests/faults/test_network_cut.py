"""The network between a worker and Kafka is cut for longer than the session: what it still says is ignored."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.topics import ensure_topics
from app.local import kafka_jar_process
from app.local.kafka_config import server_properties
from app.local.kafka_jar_process import start_from_jars
from app.local.kafka_probe import free_ports
from app.settings.settings import Settings, load_settings
from tests.support.stream import Counts, differences, register_model, send, truth, watching, worker
from tests.support.tcp_proxy import proxied
from tests.support.worker_process import log_of, quick
from topics.events import PaneEvent, PanePartial

EVENTS = 4000
LATE = """
import asyncio, sys
from pathlib import Path

import msgspec

from app.settings.settings import load_settings
from app.worker import run_worker
from app.worker.output import KafkaOutput
from topics.events import PaneEvent, PanePartial
from topics.registry import PANES

cut, held, healed = map(Path, sys.argv[1:4])
publish = KafkaOutput.publish

async def late(self, topic, records):
    values = [record.value for record in records if topic is PANES and record.value]
    events = [msgspec.json.decode(value, type=PaneEvent) for value in values]
    partials = [event for event in events if isinstance(event, PanePartial)]
    while partials and cut.exists() and not healed.exists():
        held.with_suffix(".new").write_bytes(msgspec.json.encode(partials))
        held.with_suffix(".new").rename(held)
        await asyncio.sleep(0.05)
    await publish(self, topic, records)

KafkaOutput.publish = late
sys.exit(run_worker(load_settings()))
"""
"""A worker that stands still between counting and saving as long as it is cut off, and then goes on where it was."""


class Overtaken(Counts):
    """Counts, and how many partials came that were older than what was known."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: dict[tuple[float, int, str], int] = {}
        self.stale = 0

    def take(self, topic: str, value: bytes) -> None:
        super().take(topic, value)
        if topic.endswith(".panes") and isinstance(event := msgspec.json.decode(value, type=PaneEvent), PanePartial):
            place = place_of(event)
            self.stale += event.revision < self.newest.get(place, 0)
            self.newest[place] = max(event.revision, self.newest.get(place, 0))


def place_of(partial: PanePartial) -> tuple[float, int, str]:
    """Which counts it replaces."""
    return partial.pane_start, partial.partition, partial.kind


async def written_late(settings: Settings) -> list[tuple[int, int]]:
    """Partition and offset of the saved deltas that came after a newer owner had announced itself."""
    name = f"{settings.group}-join-changelog"
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest")
    found: list[tuple[int, int]] = []
    async with consumer:
        partitions = [TopicPartition(name, partition) for partition in range(settings.partitions)]
        consumer.assign(partitions)
        for tp, end in (await consumer.end_offsets(partitions)).items():
            owner = 0
            while await consumer.position(tp) < end:
                for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, ()):
                    key = msgspec.json.decode(record.key)
                    if key.startswith("@"):  # a note on which topic the offsets are of, no delta
                        continue
                    first, *_, epoch = key.split("/")
                    if record.value and first == "owner":
                        owner = max(owner, int(epoch))
                    elif record.value and first == str(tp.partition) and int(epoch) < owner:
                        found.append((tp.partition, record.offset))
    return found


def overtaken(counts: Overtaken, held: bytes) -> bool:
    """Whether another worker has published one of the panes that are held, after a later recovery."""
    partials = msgspec.json.decode(held, type=list[PanePartial])
    return any(counts.newest.get(place_of(one), 0) >> 40 > one.revision >> 40 for one in partials)


def with_second_listener(inner: int, outer: int, data: Path, port: int, controller_port: int) -> str:
    """A broker that also listens on `inner`, and says there that it is to be reached on `outer`."""
    text = server_properties(data, port, controller_port)
    for name, address in (("listeners", inner), ("advertised.listeners", outer)):
        own = f"\n{name}=PLAINTEXT://127.0.0.1:{port}"
        assert own in text
        text = text.replace(own, f"{own},CUT://127.0.0.1:{address}")
    text = text.replace("map=PLAINTEXT:PLAINTEXT", "map=CUT:PLAINTEXT,PLAINTEXT:PLAINTEXT")
    return text + "inter.broker.listener.name=PLAINTEXT\n"


@pytest.mark.timeout(170)
@pytest.mark.usefixtures("java")
async def test_a_worker_that_was_cut_off_changes_nothing_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, outer = free_ports(2)
    monkeypatch.setattr(kafka_jar_process, "server_properties", partial(with_second_listener, inner, outer))
    broker = start_from_jars(tmp_path / "kafka")
    settings = load_settings(
        bootstrap_servers=broker.bootstrap_servers, state_dir=tmp_path / "state", alerts_dir=tmp_path / "alerts",
        checkpoint_seconds=0.1, tick_seconds=0.05, reissue_seconds=0.1,
    )  # fmt: skip
    settings = quick(settings).model_copy(update={"max_batch_records": 200})
    cut_off = settings.model_copy(update={"bootstrap_servers": f"127.0.0.1:{outer}"})
    wanted = truth(EVENTS, seed=71)
    part = len(wanted.records) // 3
    cut, held, healed = tmp_path / "cut", tmp_path / "held", tmp_path / "healed"
    try:
        await ensure_topics(settings)
        await register_model(settings)
        async with proxied(outer, inner) as proxy, watching(settings) as watch:
            counts = watch.counts = Overtaken()
            with worker(settings, "other"):
                await watch.until(lambda _: log_of(settings, "other").count("recovered") >= settings.partitions, 45)
                with worker(cut_off, "cut-off", ("-c", LATE, str(cut), str(held), str(healed))):
                    await watch.until(lambda _: "recovered" in log_of(settings, "cut-off"), 45)
                    await send(settings, wanted.records[:part], close=False)
                    await watch.until(lambda counts: len({at for _, at in counts.inputs}) == settings.partitions, 45)
                    assert counts.predictions, log_of(settings)
                    sending = asyncio.create_task(send(settings, wanted.records[part : 2 * part], close=False))
                    cut.touch()
                    await watch.until(lambda _: held.exists(), 20)
                    assert held.exists(), "the worker that is to be cut off had nothing to publish"
                    proxy.cut()
                    await watch.until(lambda _: overtaken(counts, held.read_bytes()), 45)
                    assert overtaken(counts, held.read_bytes()), log_of(settings)
                    stale = counts.stale
                    proxy.heal()
                    healed.touch()
                    await watch.until(lambda _: counts.stale > stale, 20)
                    assert counts.stale > stale, "the cut-off worker published nothing late"
                    await sending
                    await send(settings, wanted.records[2 * part :])
                    await watch.until(lambda counts: counts.equal(wanted), 50)
                    assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
            with worker(settings, "next"):  # what the cut-off one wrote into the changelog is in nobody's way
                recovered = dict(counts.inputs)
                await watch.until(lambda _: log_of(settings, "next").count("recovered") >= settings.partitions, 45)
                await send(settings, wanted.records[:part])
                await watch.until(lambda counts: counts.inputs != recovered, 5)
            assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
            late = await written_late(settings)
            # that it published late is forced; whether its delta still reaches the changelog too is a race
            print(f"{counts.stale} partials and {len(late)} saved deltas came late and were ignored")
    finally:
        broker.stop()
