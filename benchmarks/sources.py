"""CPU time of a source's records until they are encoded events: decoded, mapped and encoded, without Kafka.

The predictions of `benchmarks/events.py` are written as other systems write them: an envelope of JSON whose features
are an object, the same with a path for each feature, the same with an expression that JMESPath itself evaluates,
batches of ten predictions in a record of JSON, and Avro in Confluent's wire format. In the same loop the records are
also only decoded, alternately before and after, so that the ratio of both does not depend on the load of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import fastavro
import httpx
import msgspec

from agents.sources.agent import SourceAgent
from app.faust_batches.batch import Batch
from app.ingest.decoding import Record
from app.kafka.producer import Producer
from app.kafka.topics import ensure_topics
from app.settings.event_sources import SourceDeclaration
from app.settings.settings import Settings
from app.sources.schema_registry import SchemaRegistry
from app.sources.source import EventSource
from app.telemetry.stream import StreamMetrics
from app.worker.output import KafkaOutput
from app.worker.process import GARBAGE_THRESHOLD
from app.worker.self_report import SelfReport
from benchmarks.events import FEATURES, MODEL, VERSION, frame
from benchmarks.kafka import benchmark_settings
from benchmarks.machine import machine_alone

BATCH, BATCH_RECORDS = 10, 5000
"""Predictions in a record that has several; records that Kafka's consumer returns at a time."""
RUN = 1000
"""Records that the agent maps at a time."""
GOALS = {"json": 50_000, "avro": 25_000}


@dataclass(slots=True)
class SourceRecord:
    """A Kafka record in memory."""

    offset: int
    value: bytes | None
    timestamp: int = 1_780_000_000_000
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser("benchmarks.sources", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="events of each shape (%(default)s)")
    parser.add_argument("--kafka", action="store_true", help="also what a worker's agent needs to send them to Kafka")
    options = parser.parse_args(arguments)
    print(machine_alone(), flush=True)
    rows = [envelope(i, row) for i, row in enumerate(frame(min(options.events, 5000), 1).to_dict("records"))]
    rows = [rows[i % len(rows)] for i in range(options.events)]
    gc.set_threshold(GARBAGE_THRESHOLD)  # as a worker has it
    gc.freeze()
    asyncio.run(_measure(rows))
    if options.kafka:
        with benchmark_settings() as settings:
            asyncio.run(_send(settings, [*map(_encoded, rows)]))
    return 0


def envelope(number: int, row: dict[Any, Any]) -> dict[str, Any]:
    """Return a prediction as another system's envelope."""
    features = {name: row[name] for name in FEATURES}
    return {
        "specversion": "1.0",
        "type": "org.example.scored",
        "id": f"3f2b8c5e-{number:012d}",
        "time_ms": 1_780_000_000_000 + number,
        "data": {"features": features, "output": {"label": str(row["prediction"]), "score": float(row["probability"])}},
    }


def declared(form: str, **mapping: Any) -> SourceDeclaration:
    """Return the source of a shape."""
    default = {
        "id": "id", "time": "time_ms", "time_unit": "ms", "model": {"constant": MODEL},
        "version": {"constant": VERSION}, "features": "data.features", "prediction": "data.output.label",
        "probability": "data.output.score",
    }  # fmt: skip
    given = {name: value for name, value in {**default, **mapping}.items() if value is not None}
    return SourceDeclaration.model_validate({"topic": "scored", "format": form, "mapping": given})


async def _measure(rows: Sequence[dict[str, Any]]) -> None:
    names = list(rows[0]["data"]["features"])
    select = {"select": {name: f"data.features.{name}" for name in names}}
    values = [*map(_encoded, rows)]
    found = [
        await _shape("json, features an object", EventSource(declared("json"), None), values, _json),
        await _shape(
            "json, each feature by a path", EventSource(declared("json", features=select), None), values, _json
        ),
        await _shape(
            "json, an expression", EventSource(declared("json", prediction="data.output.label || 'none'"), None),
            values, _json,
        ),
    ]  # fmt: skip
    batches = [_encoded(batch(i, rows[i : i + BATCH])) for i in range(0, len(rows), BATCH)]
    each = {"each": {"row": "data.rows", "label": "data.labels"}, "id": "join('-', [id, to_string(index)])",
            "features": "row", "prediction": "label", "probability": None}  # fmt: skip
    found.append(await _shape("json, batches", EventSource(declared("json", **each), None), batches, _json, BATCH))
    schema = avro_schema(rows[0])
    answer = {"schema": json.dumps(schema)}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answer))
    async with SchemaRegistry("http://registry", transport=transport) as registry:
        parsed = fastavro.parse_schema(schema)
        framed = [_framed(parsed, row) for row in rows]

        def read(values: Sequence[bytes]) -> list[Any]:
            return [fastavro.schemaless_reader(BytesIO(value[5:]), parsed, None) for value in values]

        avro = await _shape("avro, features a record", EventSource(declared("avro"), registry), framed, read)
    print(
        f"sources json {found[0]:,.0f}/s, by paths {found[1]:,.0f}/s, with an expression {found[2]:,.0f}/s "
        f"in batches {found[3]:,.0f}/s (goal {GOALS['json']:,}); avro {avro:,.0f}/s (goal {GOALS['avro']:,})",
        flush=True,
    )


def _encoded(row: dict[str, Any]) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode()


def batch(number: int, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a record with several predictions."""
    data = {"rows": [row["data"]["features"] for row in rows],
            "labels": [row["data"]["output"]["label"] for row in rows]}  # fmt: skip
    return {**rows[0], "id": f"b{number}", "data": data}


def _json(values: Sequence[bytes]) -> list[Any]:
    return list(map(msgspec.json.decode, values))


def avro_schema(row: dict[str, Any]) -> dict[str, Any]:
    """A schema of the envelope: each member by the type that it has."""

    def record(name: str, members: dict[str, Any]) -> dict[str, Any]:
        fields = [{"name": key, "type": kind(f"{name}_{key}", value)} for key, value in members.items()]
        return {"type": "record", "name": name, "fields": fields}

    def kind(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return record(name, value)
        return "string" if isinstance(value, str) else "long" if isinstance(value, int) else "double"

    return record("Scored", row)


def _framed(schema: Any, row: dict[str, Any]) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, schema, row)
    return b"\0\0\0\0\1" + stream.getvalue()


def _seconds(decode: Any, values: Sequence[bytes]) -> float:
    began = time.process_time()
    decode(values)
    return time.process_time() - began


async def _shape(name: str, source: EventSource, values: Sequence[bytes], decode: Any, each: int = 1) -> float:
    """Print the cost of a shape and return its events per CPU second. A record has `each` of them."""
    records: list[Record] = [SourceRecord(i, value) for i, value in enumerate(values)]
    whole, alone, n, together = 0.0, 0.0, 0, max(1, RUN // each)
    for start in range(0, len(records), together):
        part = values[start : start + together]
        if start // together % 2:
            alone += _seconds(decode, part)
        began = time.process_time()
        run = await source.map(records[start : start + together])
        whole += time.process_time() - began
        assert not run.rejected
        n += len(run.predictions)
        if not start // together % 2:
            alone += _seconds(decode, part)
    print(
        f"{name}: {n / whole:,.0f}/s, {whole / n * 1e6:.2f} µs an event; decoding alone {alone / n * 1e6:.2f} µs, "
        f"so {whole / alone:.1f} times as much ({len(values[0])} bytes)",
        flush=True,
    )
    return n / whole


async def _send(settings: Settings, values: Sequence[bytes]) -> None:
    """Print what the agent needs for records until Kafka has acknowledged their events, and its events per second."""
    await ensure_topics(settings)
    source, n, whole, alone = EventSource(declared("json"), None), len(values), 0.0, 0.0
    agent = SourceAgent([source], lambda topic, partition: None)
    async with Producer(settings) as producer:
        report = SelfReport(settings.group, "benchmark")
        out = KafkaOutput(producer, settings.prefix, settings.partitions, StreamMetrics(), report)
        began = time.perf_counter()
        for start in range(0, n, BATCH_RECORDS):
            part = values[start : start + BATCH_RECORDS]
            records: list[Record] = [SourceRecord(start + i, value) for i, value in enumerate(part)]
            at = time.process_time()
            await agent.handle(Batch(source.topic, 0, records, start, start + len(part)), out)
            whole += time.process_time() - at
            alone += _seconds(_json, part)
        seconds = time.perf_counter() - began
    print(
        f"json, sent to Kafka: {n / whole:,.0f}/s of the CPU, {n / seconds:,.0f}/s by the clock, "
        f"{whole / alone:.1f} times as much as decoding alone",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
