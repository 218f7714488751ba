"""Sources with other shapes and numbers of partitions: after a worker is killed, counts equal the truth."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import fastavro
import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka import Producer as Librdkafka
from typer.testing import CliRunner, Result

from app.cli import app
from app.kafka.topics import TopicError, ensure_topics
from app.settings.settings import Settings, environment, load_settings
from app.sources.source import registry_of, sources_of
from app.worker.process import check_sources
from tests.support.kafka_topics import records_of
from tests.support.schema_registry import FakeRegistry, schema_registry
from tests.support.stream import (
    MODEL,
    VERSION,
    Truth,
    differences,
    register_model,
    send,
    truth,
    until,
    until_equal,
    worker,
)
from tests.support.worker_process import log_of, quick
from topics.registry import DEAD_LETTERS, FEEDBACK, PREDICTIONS

EVENTS = 1200
FIRST: dict[str, Any] = {
    "type": "record", "name": "Scored",
    "fields": [
        {"name": "event_id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "input", "type": {"type": "map", "values": ["null", "double", "string", "boolean"]}},
        {"name": "output", "type": {"type": "array", "items": ["double", "string"]}},
    ],
}  # fmt: skip
SECOND = {**FIRST, "fields": [*FIRST["fields"], {"name": "region", "type": "string", "default": "eu"}]}
RENAMED = {**FIRST, "fields": [{**FIRST["fields"][0], "name": "eventId"}, *FIRST["fields"][1:]]}


def sources(settings: Settings) -> list[dict[str, Any]]:
    return [
        {"name": "scored", "topic": f"{settings.prefix}their.scored", "format": "avro", "carries": "predictions",
         "mapping": {"id": "event_id", "time": "at", "model": {"constant": MODEL}, "version": {"constant": VERSION},
                     "features": "input", "prediction": "output[0]", "probability": "output[1]"}},
        {"name": "outcomes", "topic": f"{settings.prefix}their.outcomes", "carries": "feedback",
         "mapping": {"where": "payload.op != 'd'", "id": "payload.after.id", "time": "payload.after.ts",
                     "time_unit": "ms", "truth": "payload.after.label"}},
    ]  # fmt: skip


def mended(settings: Settings) -> Settings:
    """Return settings whose sources take the ids under their new names too."""
    first, second = settings.sources or ()
    ids = {first: "event_id || eventId", second: "payload.after.id || payload.after.key"}
    changed = [
        {**one.model_dump(exclude_none=True), "mapping": {**one.mapping.model_dump(exclude_none=True), "id": path}}
        for one, path in ids.items()
    ]
    return settings.model_copy(update={"sources": load_settings(sources=changed).sources})


def last_alone(wanted: Truth, topic: str) -> int:
    """Return the last record of a topic whose key no other record of the topic has."""
    keys = [key if name == topic else None for name, key, _ in wanted.records]
    return max(i for i, key in enumerate(keys) if key is not None and keys.count(key) == 1)


def theirs(settings: Settings, registry: FakeRegistry, wanted: Truth, renamed: set[int]) -> list[tuple[str, bytes]]:
    """Return records in the topics' own shapes: two versions of a schema alternately, and rows of a database.

    The records at the positions `renamed` have their id under another name.
    """
    versions = [(registry.register("scored-value", json.dumps(schema)), schema) for schema in (FIRST, SECOND, RENAMED)]
    parsed = [(number, fastavro.parse_schema(schema)) for number, schema in versions]
    found = []
    for i, (topic, _, value) in enumerate(wanted.records):
        event = msgspec.json.decode(value)
        if topic != PREDICTIONS.name:
            name = "key" if i in renamed else "id"
            row = {name: event["prediction_id"], "ts": 1_700_000_040_000, "label": event["actual"]}
            change = {"payload": {"op": "u", "before": None, "after": row}}
            found.append((f"{settings.prefix}their.outcomes", json.dumps(change).encode()))
            continue
        number, schema = parsed[2 if i in renamed else i % 2]
        stream = BytesIO()
        row = {"event_id": event["prediction_id"], "eventId": event["prediction_id"],
               "at": datetime.fromtimestamp(event["timestamp"], UTC), "input": event["features"],
               "output": [event["prediction"], event["probability"]],
               "region": "us"}  # fmt: skip
        fastavro.schemaless_writer(stream, schema, row)
        found.append((f"{settings.prefix}their.scored", b"\0" + number.to_bytes(4, "big") + stream.getvalue()))
    return found


def produce(settings: Settings, records: list[tuple[str, bytes]]) -> None:
    """Send records without keys, each to any partition."""
    producer = Librdkafka({"bootstrap.servers": settings.bootstrap_servers, "linger.ms": 5,
                           "sticky.partitioning.linger.ms": 1})  # fmt: skip
    for topic, value in records:
        producer.produce(topic, value)
        producer.poll(0)
    assert producer.flush(30) == 0


async def typed(settings: Settings, *words: str) -> Result:
    """Run a command in this process with the settings in its environment."""
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, list(words), env=environment(settings)))


async def until_letters(settings: Settings, count: int) -> dict[bytes, bytes]:
    """Read the dead letters until there are so many values; return their reasons."""
    async with asyncio.timeout(60):
        while True:
            records = await records_of(settings, DEAD_LETTERS)
            found = {r.value: dict(r.headers)["driftline-reason"] for r in records if r.value is not None}
            if len(found) >= count:
                return found
            await asyncio.sleep(0.2)


@pytest.mark.timeout(150)
async def test_topics_of_another_shape_are_counted_exactly(settings: Settings) -> None:
    with schema_registry(("me", "secret")) as registry:
        declared = load_settings(
            sources=sources(settings), schema_registry_url=registry.url, schema_registry_username="me",
            schema_registry_password="secret",
        )  # fmt: skip
        names = ("sources", "schema_registry_url", "schema_registry_username", "schema_registry_password")
        settings = quick(settings).model_copy(update={name: getattr(declared, name) for name in names})
        wanted = truth(EVENTS, seed=22)
        renamed = {last_alone(wanted, topic.name) for topic in (PREDICTIONS, FEEDBACK)}
        records = theirs(settings, registry, wanted, renamed)
        with pytest.raises(
            TopicError, match=rf"^source 'scored': topic {settings.prefix}their.scored does not exist on"
        ):
            await check_sources(settings, sources_of(settings, registry_of(settings)))
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
        await admin.start()
        await admin.create_topics([NewTopic(f"{settings.prefix}their.scored", settings.partitions + 3, 1),
                                   NewTopic(f"{settings.prefix}their.outcomes", 1, 1)])  # fmt: skip
        await admin.close()
        await ensure_topics(settings)
        await register_model(settings)
        await asyncio.to_thread(produce, settings, records[: EVENTS // 2])
        tried = await typed(settings, "sources", "try")
        assert tried.exit_code == 0, tried.output
        assert "10 records: 10 predictions, 0 feedback, 0 do not map, 0 left out" in tried.stdout
        assert "10 records: 0 predictions, 10 feedback, 0 do not map, 0 left out" in tried.stdout
        with worker(settings, "killed") as first:
            await until(settings, lambda counts: counts.predictions > 200, 60)
            os.kill(first.pid, signal.SIGKILL)
            await asyncio.to_thread(first.wait)
        with worker(settings, "heir") as second, worker(settings, "other") as third:
            broken = [
                (f"{settings.prefix}their.scored", b"{}"),
                (f"{settings.prefix}their.outcomes", b'{"payload": 1}'),
            ]
            await asyncio.to_thread(produce, settings, [*broken, *records[EVENTS // 2 :]])
            await send(settings, [])
            letters = await until_letters(settings, 4)
            resent = await typed(mended(settings), "dead-letters", "resend", "--reason", "id: nothing", "--json")
            assert (resent.exit_code, json.loads(resent.stdout)) == (1, {
                "sent": {"predictions": 1, "feedback": 1}, "left_out": {"still does not map: id": 1}, "dry_run": False,
            }), resent.output  # fmt: skip
            counts = await until_equal(settings, wanted, 60)
            assert (second.poll(), third.poll()) == (None, None), log_of(settings)
        assert counts.equal(wanted), differences(counts, wanted) + log_of(settings)
        assert letters == {
            b"{}": b"no Confluent wire format: it must begin with a zero byte and the schema's id; this is JSON",
            b'{"payload": 1}': b"id: nothing at payload.after.id",
            **{records[i][1]: f"id: nothing at {path}".encode()
               for i, path in zip(sorted(renamed, key=lambda i: records[i][0]), ("payload.after.id", "event_id"),
                                  strict=True)},
        }  # fmt: skip
        tried = await typed(settings, "sources", "try", "--last", "3000", "--json")
        assert tried.exit_code == 1
        lines = [msgspec.json.decode(line) for line in tried.stdout.splitlines()]
        rejected = [line["rejected"].encode() for line in lines if line["rejected"]]
        assert sorted(rejected) == sorted(letters.values())
