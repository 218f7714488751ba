"""Values whose schemas are in a genuine Apicurio Registry, with Confluent's API: `make test-registry`."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from app.local.kafka_probe import free_ports
from app.processes.guarded import GuardedProcess
from app.sources.formats import DecodedRun, SourceDecoder
from app.sources.schema_registry import RegistryUnavailable, SchemaRegistry
from tests.support.source_records import SourceRecord, declared

pytestmark = pytest.mark.registry
VERSION = "3.0.9"
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
START_SECONDS = 120.0
CUSTOMER = {"type": "record", "name": "Customer", "namespace": "org", "fields": [{"name": "age", "type": "int"}]}
SCORED: dict[str, Any] = {
    "type": "record", "name": "Scored", "namespace": "org",
    "fields": [{"name": "id", "type": "long"}, {"name": "customer", "type": "org.Customer"}],
}  # fmt: skip
LATER = {**SCORED, "fields": [*SCORED["fields"], {"name": "channel", "type": "string", "default": "shop"}]}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the distribution from Maven Central, with its storage in memory; yield the address of Confluent's API."""
    folder = tmp_path_factory.mktemp("apicurio")
    maven, java = shutil.which("mvn"), shutil.which("java")
    if maven is None or java is None:
        pytest.fail("no Maven or no Java: apt-get install maven")
    copy = [maven, "-q", "-B", "dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={folder}"]
    copied = subprocess.run(copy, capture_output=True, text=True, check=False)
    assert copied.returncode == 0, copied.stdout
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (port,) = free_ports(1)
    command = [java, "-Xmx512m", "-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}", "-jar",
               str(folder / f"apicurio-registry-app-{VERSION}-runner.jar")]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = GuardedProcess(command, stdout=log, stderr=log)
        try:
            yield _started(f"http://127.0.0.1:{port}/apis/ccompat/v7", folder / "log")
        finally:
            process.stop()


def _started(address: str, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/subjects").is_success:
                return address
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"Apicurio does not start: {log.read_text()[-2000:]}")


@pytest.fixture
async def registry(url: str) -> AsyncIterator[SchemaRegistry]:
    async with SchemaRegistry(url) as client:
        yield client


def register(url: str, subject: str, schema: str, kind: str = "AVRO", references: Sequence[dict[str, Any]] = ()) -> int:
    body = {"schema": schema, "schemaType": kind, "references": list(references)}
    answer = httpx.post(f"{url}/subjects/{subject}/versions", json=body)
    assert answer.is_success, answer.text
    number: int = answer.json()["id"]
    return number


def framed(number: int, payload: bytes) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + payload


async def read(form: str, registry: SchemaRegistry, *values: bytes) -> DecodedRun:
    records = [SourceRecord(i, value) for i, value in enumerate(values)]
    return await SourceDecoder(declared(form=form), registry).decode(records)


async def test_avro_with_a_reference_in_two_versions(url: str, registry: SchemaRegistry) -> None:
    register(url, "customer", json.dumps(CUSTOMER))
    refers = [{"name": "org.Customer", "subject": "customer", "version": 1}]
    row, values = {"id": 2**53 + 1, "customer": {"age": 31}, "channel": "app"}, []
    for schema in (SCORED, LATER):
        number = register(url, "scored-value", json.dumps(schema), references=refers)
        named: dict[str, Any] = {}
        fastavro.parse_schema(CUSTOMER, named)
        stream = BytesIO()
        fastavro.schemaless_writer(stream, fastavro.parse_schema(schema, named), row)
        values.append(framed(number, stream.getvalue()))
    run = await read("avro", registry, *values, framed(9999, b""))
    assert run.documents == [{"id": 2**53 + 1, "customer": {"age": 31}}, row]
    (unknown,) = run.rejected
    assert unknown.reason.startswith(f"schema 9999: schema registry {url} has no schema 9999: ")


async def test_protobuf_as_a_descriptor_and_as_text(url: str, registry: SchemaRegistry) -> None:
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="scored.proto", package="org", syntax="proto3")
    message = file.message_type.add(name="Scored")
    message.field.add(name="id", number=1, type=kinds.TYPE_INT64, label=kinds.LABEL_OPTIONAL)
    message.field.add(name="scores", number=2, type=kinds.TYPE_DOUBLE, label=kinds.LABEL_REPEATED)
    number = register(url, "scored-proto", base64.b64encode(file.SerializeToString()).decode(), "PROTOBUF")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    scored: Any = message_factory.GetMessageClass(pool.FindMessageTypeByName("org.Scored"))
    value = b"\0" + scored(id=2**53 + 1, scores=[0.25, 0.75]).SerializeToString()
    run = await read("protobuf", registry, framed(number, value))
    assert run.documents == [{"id": 2**53 + 1, "scores": [0.25, 0.75]}]
    text = 'syntax = "proto3"; package org; message Other { int64 id = 1; }'
    number = register(url, "other-proto", text, "PROTOBUF")
    (rejected,) = (await read("protobuf", registry, framed(number, value))).rejected
    assert rejected.reason == f"schema {number}: it is not returned as a descriptor: set schema_file and message"


async def test_json_schema_and_a_source_of_another_format(url: str, registry: SchemaRegistry) -> None:
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "title": "Scored"}
    number = register(url, "scored-json", json.dumps(schema), "JSON")
    assert (await read("json-schema", registry, framed(number, b'{"id": 7}'))).documents == [{"id": 7}]
    (rejected,) = (await read("avro", registry, framed(number, b"x"))).rejected
    assert rejected.reason == f'schema {number}: it is of format json, and the source has format = "avro"'


async def test_an_address_without_the_api_blames_no_record(url: str) -> None:
    async with SchemaRegistry(url.partition("/apis")[0]) as wrong:
        with pytest.raises(RegistryUnavailable, match="is schema_registry_url complete"):
            await read("avro", wrong, framed(1, b""))
