"""Values in each format, written by other libraries, are read with the schema that they were written with."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2, timestamp_pb2, wrappers_pb2
from hypothesis import given
from hypothesis import strategies as st

from app.settings.event_sources import SourceDeclaration
from app.sources.formats import DecodedRun, SourceDecoder
from app.sources.schema_registry import RegistryUnavailable, SchemaRegistry, SchemaUnknown
from app.sources.wire_format import FramingError, in_header, in_value, schema_id
from tests.support.schema_registry import FakeRegistry, guid_of, schema_registry
from tests.support.source_records import SourceRecord, declared

CUSTOMER = {"type": "record", "name": "Customer", "namespace": "org", "fields": [{"name": "age", "type": "int"}]}
SCORED: dict[str, Any] = {
    "type": "record", "name": "Scored", "namespace": "org",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "customer", "type": "org.Customer"},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "truth", "type": ["null", "string"], "default": None},
    ],
}  # fmt: skip
LATER = {**SCORED, "fields": [*SCORED["fields"], {"name": "channel", "type": "string", "default": "shop"}]}
AT = datetime(2026, 5, 28, 20, 26, 40, tzinfo=UTC)
ROW = {"id": 2**53 + 1, "at": AT, "customer": {"age": 31}, "amount": Decimal("12.50"), "truth": None}


@pytest.fixture(scope="module")
def registry() -> Iterator[FakeRegistry]:
    with schema_registry(("me", "secret")) as server:
        yield server


@pytest.fixture
async def asked(registry: FakeRegistry) -> Any:
    registry.requests.clear()
    registry.failing, registry.serialized = None, True
    async with SchemaRegistry(registry.url, login=("me", "secret")) as client:
        yield client


def source(form: str, **given: Any) -> SourceDeclaration:
    return SourceDeclaration.model_validate({**declared(form=form).model_dump(exclude_none=True), **given})


def framed(number: int, payload: bytes, indexes: bytes = b"") -> bytes:
    return b"\0" + number.to_bytes(4, "big") + indexes + payload


def avro(schema: Any, row: Any) -> bytes:
    stream = BytesIO()
    named: dict[str, Any] = {}
    fastavro.parse_schema(CUSTOMER, named)
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema, named), row)
    return stream.getvalue()


async def read(
    decoder: SourceDecoder, values: Sequence[bytes | None], headers: Sequence[tuple[str, bytes]] = ()
) -> DecodedRun:
    return await decoder.decode([SourceRecord(i, value, headers=headers) for i, value in enumerate(values)])


def reasons(run: DecodedRun) -> list[str]:
    return [one.reason for one in run.rejected]


async def test_avro_by_the_schema_of_each_record_which_is_asked_for_once(
    registry: FakeRegistry, asked: SchemaRegistry
) -> None:
    registry.register("customer", json.dumps(CUSTOMER))
    refers = [("org.Customer", "customer", 1)]
    first = registry.register("scored-value", json.dumps(SCORED), references=refers)
    second = registry.register("scored-value", json.dumps(LATER), references=refers)
    decoder = SourceDecoder(source("avro"), asked)
    old, new = framed(first, avro(SCORED, ROW)), framed(second, avro(LATER, {**ROW, "channel": "app"}))
    run = await read(decoder, [old, new, old, None, b'{"id": 1}', old[:-3], old + b"x", framed(999, b""), b"\0\0"])
    assert run.documents == [ROW, {**ROW, "channel": "app"}, ROW]
    assert [record.offset for record in run.records] == [0, 1, 2]
    assert run.tombstones == 1
    asked_for = [f"/schemas/ids/{first}", "/subjects/customer/versions/1", f"/schemas/ids/{second}", "/schemas/ids/999"]
    assert registry.requests == asked_for
    assert reasons(run) == [
        "no Confluent wire format: it must begin with a zero byte and the schema's id; this is JSON",
        "not as its schema says: EOFError",
        "not as its schema says: 1 bytes follow what its schema describes",
        f"schema 999: schema registry {registry.url} has no schema 999: Schema not found",
        "no Confluent wire format: it must begin with a zero byte and the schema's id",
    ]
    registry.requests.clear()
    assert (await read(decoder, [old, new])).documents == [ROW, {**ROW, "channel": "app"}]
    assert registry.requests == []


async def test_a_schema_that_is_not_there_yet_is_asked_for_once_a_second(
    registry: FakeRegistry, asked: SchemaRegistry
) -> None:
    now: list[float] = [100.0]
    number = max(registry.schemas, default=0) + 1
    decoder = SourceDecoder(source("avro"), asked, lambda: now[0])
    value = framed(number, avro(CUSTOMER, {"age": 31}))
    for _ in range(3):
        (first, second) = reasons(await read(decoder, [value, value]))
        assert first == second
        assert first == f"schema {number}: schema registry {registry.url} has no schema {number}: Schema not found"
    assert registry.requests == [f"/schemas/ids/{number}"]
    assert registry.register("not-yet", json.dumps({**CUSTOMER, "doc": "new"})) == number
    now[0] += 1.0
    assert (await read(decoder, [value])).documents == [{"age": 31}]
    now[0] -= 1.0
    assert (await read(decoder, [value])).documents == [{"age": 31}]


async def test_schemas_that_a_records_header_names(registry: FakeRegistry, asked: SchemaRegistry) -> None:
    number = registry.register("in-header", json.dumps(CUSTOMER))
    payload, guid = avro(CUSTOMER, {"age": 31}), guid_of(number)
    decoder = SourceDecoder(source("avro"), asked)
    for header, path in [(b"\1" + guid.bytes, f"guids/{guid}"), (b"\0" + number.to_bytes(4, "big"), f"ids/{number}")]:
        headers = [("trace", b"x"), ("__value_schema_id", header), ("__key_schema_id", b"\1" + bytes(16))]
        run = await read(decoder, [payload, payload], headers)
        assert (run.documents, reasons(run)) == ([{"age": 31}] * 2, [])
        assert registry.requests[-1] == f"/schemas/{path}"
    assert len(registry.requests) == 2
    unknown = await read(decoder, [payload], [("__value_schema_id", b"\1" + bytes(16))])
    assert reasons(unknown)[0].startswith("schema 00000000-0000-0000-0000-000000000000: schema registry")
    for header in (b"", b"\2" + guid.bytes, b"\1abc", b"\0\0"):
        (reason,) = reasons(await read(decoder, [payload], [("__value_schema_id", header)]))
        assert reason.startswith("header __value_schema_id: must be a zero byte and the schema's id, or a one")
    common, scored = proto_files()
    registry.register("plan", in_base64(common), "PROTOBUF")
    number = registry.register("scored", in_base64(scored), "PROTOBUF", [("org/plan.proto", "plan", 1)])
    named = [("__value_schema_id", b"\1" + guid_of(number).bytes + b"\2\2")]
    run = await read(SourceDecoder(source("protobuf"), asked), [proto_message().SerializeToString()], named)
    assert (run.documents, reasons(run)) == ([DOCUMENT], [])
    plain = await read(SourceDecoder(source("json-schema"), None), [b'{"a": 1}'], named)
    assert plain.documents == [{"a": 1}]


async def test_avro_as_a_schema_of_ones_own_has_it(
    registry: FakeRegistry, asked: SchemaRegistry, tmp_path: Path
) -> None:
    """Evolution: a renamed field by its alias, a new one by its default."""
    written = {"type": "record", "name": "R", "fields": [{"name": "old", "type": "int"}]}
    wanted = {"type": "record", "name": "R", "fields": [
        {"name": "new", "aliases": ["old"], "type": "int"}, {"name": "more", "type": "string", "default": "x"},
    ]}  # fmt: skip
    file = tmp_path / "r.avsc"
    file.write_text(json.dumps(wanted))
    number = registry.register("r", json.dumps(written))
    decoder = SourceDecoder(source("avro", framing="confluent", schema_file=file), asked)
    assert (await read(decoder, [framed(number, avro(written, {"old": 7}))])).documents == [{"new": 7, "more": "x"}]
    alone = SourceDecoder(source("avro", schema_file=file), None)
    assert (await read(alone, [avro(wanted, {"new": 1, "more": "y"})])).documents == [{"new": 1, "more": "y"}]


async def test_avro_schemas_that_share_one_that_they_refer_to(registry: FakeRegistry, asked: SchemaRegistry) -> None:
    """Two references that lead to one schema, and a topic of several types: a union of references."""

    def record(name: str, **fields: str) -> dict[str, Any]:
        return {"type": "record", "name": name, "fields": [{"name": k, "type": v} for k, v in fields.items()]}

    address, order = record("Address", city="string"), record("Order", address="Address")
    invoice, root = record("Invoice", address="Address"), record("Root", order="Order", invoice="Invoice")
    to_address, to_both = [("Address", "a", 1)], [("Order", "o", 1), ("Invoice", "i", 1)]
    registry.register("a", json.dumps(address))
    registry.register("o", json.dumps(order), references=to_address)
    registry.register("i", json.dumps(invoice), references=to_address)
    whole = registry.register("r", json.dumps(root), references=to_both)
    union = registry.register("u", json.dumps(["Order", "Invoice"]), references=to_both)
    named: dict[str, Any] = {}
    for schema in (address, order, invoice):
        fastavro.parse_schema(schema, named)
    ulm, values = {"address": {"city": "Ulm"}}, []
    written: list[tuple[int, Any, Any]] = [
        (whole, root, {"order": ulm, "invoice": ulm}),
        (union, ["Order", "Invoice"], ("Invoice", ulm)),
    ]
    for number, schema, row in written:
        stream = BytesIO()
        whole_named = {"type": "record", "name": "W", "fields": [{"name": "w", "type": schema}]}  # the same bytes
        fastavro.schemaless_writer(stream, fastavro.parse_schema(whole_named, dict(named)), {"w": row})
        values.append(framed(number, stream.getvalue()))
    run = await read(SourceDecoder(source("avro"), asked), values)
    assert (run.documents, reasons(run)) == ([{"order": ulm, "invoice": ulm}, ulm], [])


async def test_a_registry_that_cannot_be_asked_rejects_nothing(registry: FakeRegistry, asked: SchemaRegistry) -> None:
    number = registry.register("later", json.dumps(CUSTOMER))
    value = framed(number, avro(CUSTOMER, {"age": 31}))
    decoder = SourceDecoder(source("avro"), asked)
    registry.failing = 503
    with pytest.raises(RegistryUnavailable, match=rf"^schema registry {registry.url}: 503: not now$"):
        await read(decoder, [value])
    registry.failing = None
    assert (await read(decoder, [value])).documents == [{"age": 31}]
    async with SchemaRegistry(registry.url) as nobody:
        with pytest.raises(RegistryUnavailable, match=r"refuses us \(401\): set schema_registry_username"):
            await nobody.schema(number)
    async with SchemaRegistry("http://127.0.0.1:1") as nowhere:
        with pytest.raises(RegistryUnavailable, match=r"^schema registry http://127.0.0.1:1: "):
            await nowhere.schema(number)
    for body in ("<html>", "{}", ""):
        nothing = httpx.MockTransport(lambda request, body=body: httpx.Response(404, text=body))
        async with SchemaRegistry("http://x/ui", transport=nothing) as other:
            with pytest.raises(RegistryUnavailable, match=r"http://x/ui: 404 for /schemas/ids/1, .*complete, such as"):
                await other.schema(1)
    page = httpx.MockTransport(lambda request: httpx.Response(200, text="<html>"))
    async with SchemaRegistry("http://x", transport=page) as other:
        with pytest.raises(RegistryUnavailable, match="does not return a schema"):
            await other.schema(1)


def test_a_schema_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaUnknown, match=r"^schema_file: cannot read .*none.avsc: No such file"):
        SourceDecoder(source("avro", schema_file=tmp_path / "none.avsc"), None)
    file = tmp_path / "file"
    file.write_text('{"type": "recrod"}')
    with pytest.raises(SchemaUnknown, match=r"^the Avro schema "):
        SourceDecoder(source("avro", schema_file=file), None)
    with pytest.raises(SchemaUnknown, match=r"^schema_file: .*file is none of protoc"):
        SourceDecoder(source("protobuf", schema_file=file, message="x.Y"), None)


TYPES = descriptor_pb2.FieldDescriptorProto


def proto_files() -> list[descriptor_pb2.FileDescriptorProto]:
    """Return two files: one with an enumeration, and one with nested messages of all kinds that imports it."""
    common = descriptor_pb2.FileDescriptorProto(name="org/plan.proto", package="org", syntax="proto3")
    plan = common.enum_type.add(name="Plan")
    for number, name in enumerate(["UNKNOWN", "BASIC"]):
        plan.value.add(name=name, number=number)
    scored = descriptor_pb2.FileDescriptorProto(name="org/scored.proto", package="org", syntax="proto3")
    scored.dependency.extend(
        ["org/plan.proto", "google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto",
         "google/protobuf/struct.proto"]
    )  # fmt: skip
    scored.message_type.add(name="Other")
    message = scored.message_type.add(name="Scored")
    row = message.nested_type.add(name="Row")
    row.field.add(name="age", number=1, type=TYPES.TYPE_INT32, label=TYPES.LABEL_OPTIONAL)
    row.field.add(
        name="inner", number=2, type=TYPES.TYPE_MESSAGE, label=TYPES.LABEL_OPTIONAL, type_name=".org.Scored.Row"
    )
    entry = message.nested_type.add(name="WeightsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=TYPES.TYPE_INT32, label=TYPES.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=TYPES.TYPE_DOUBLE, label=TYPES.LABEL_OPTIONAL)
    fields: list[tuple[str, int, str, bool]] = [
        ("id", TYPES.TYPE_INT64, "", False), ("at", TYPES.TYPE_MESSAGE, ".google.protobuf.Timestamp", False),
        ("row", TYPES.TYPE_MESSAGE, ".org.Scored.Row", False), ("scores", TYPES.TYPE_DOUBLE, "", True),
        ("plan", TYPES.TYPE_ENUM, ".org.Plan", False),
        ("weights", TYPES.TYPE_MESSAGE, ".org.Scored.WeightsEntry", True),
        ("truth", TYPES.TYPE_MESSAGE, ".google.protobuf.BoolValue", False),
        ("more", TYPES.TYPE_MESSAGE, ".google.protobuf.Struct", False), ("raw", TYPES.TYPE_BYTES, "", False),
    ]  # fmt: skip
    for number, (name, kind, type_name, repeated) in enumerate(fields, 1):
        label = TYPES.LABEL_REPEATED if repeated else TYPES.LABEL_OPTIONAL
        message.field.add(name=name, number=number, type=kind, label=label, type_name=type_name or None)
    optional = message.field.add(name="n", number=20, type=TYPES.TYPE_UINT64, label=TYPES.LABEL_OPTIONAL)
    message.oneof_decl.add(name="_n")
    optional.oneof_index, optional.proto3_optional = 0, True
    return [common, scored]


def proto_message() -> Any:
    pool = descriptor_pool.DescriptorPool()
    for module in (timestamp_pb2, wrappers_pb2, struct_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for file in proto_files():
        pool.AddSerializedFile(file.SerializeToString())
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("org.Scored"))
    message: Any = kind(id=2**53 + 1, scores=[0.25, 0.75], plan=1, weights={3: 0.5}, raw=b"xy")
    message.at.FromDatetime(AT)
    message.row.age, message.row.inner.age = 31, 2
    message.truth.value = False
    message.more.update({"city": "Ulm", "zip": [1.5]})
    return message


DOCUMENT = {
    "id": 2**53 + 1, "at": AT, "row": {"age": 31, "inner": {"age": 2, "inner": None}}, "scores": [0.25, 0.75],
    "plan": "BASIC", "weights": {"3": 0.5}, "truth": False, "more": {"city": "Ulm", "zip": [1.5]}, "raw": b"xy",
    "n": None,
}  # fmt: skip


def in_base64(file: descriptor_pb2.FileDescriptorProto) -> str:
    return base64.b64encode(file.SerializeToString()).decode()


async def test_protobuf_by_the_message_that_the_indexes_name(registry: FakeRegistry, asked: SchemaRegistry) -> None:
    common, scored = proto_files()
    registry.register("plan", in_base64(common), "PROTOBUF")
    number = registry.register("scored", in_base64(scored), "PROTOBUF", [("org/plan.proto", "plan", 1)])
    message = proto_message()
    payload = message.SerializeToString()
    one, two, none = b"\x02\x02", b"\x04\x02\x00", b"\0"  # [1]: Scored; [1, 0]: Scored.Row; [0]: Other
    values = [framed(number, payload, one), framed(number, message.row.SerializeToString(), two),
              framed(number, b"", none), framed(number, payload, b"\x02\x08"), framed(number, b"\xff", one),
              framed(number, b"", b"\xff")]  # fmt: skip
    run = await read(SourceDecoder(source("protobuf"), asked), values)
    assert run.documents == [DOCUMENT, DOCUMENT["row"], {}]
    assert reasons(run) == [
        f"schema {number}: the Protobuf schema has no message 4", "not as its schema says: DecodeError",
        "the message indexes are cut off",
    ]  # fmt: skip
    text = registry.register("text", 'syntax = "proto3"; message A {}', "PROTOBUF")  # as Apicurio returns it
    (reason,) = reasons(await read(SourceDecoder(source("protobuf"), asked), [framed(text, b"", none)]))
    assert reason == f"schema {text}: it is not returned as a descriptor: set schema_file and message"
    registry.serialized = False
    async with SchemaRegistry(registry.url, login=("me", "secret")) as other:
        (reason,) = reasons(await read(SourceDecoder(source("protobuf"), other), values[:1]))
        assert reason.endswith("as a descriptor: set schema_file and message")
        (reason,) = reasons(await read(SourceDecoder(source("avro"), other), values[:1]))
        assert reason == f'schema {number}: it is of format protobuf, and the source has format = "avro"'


async def test_protobuf_by_a_file_of_descriptors(tmp_path: Path) -> None:
    file = tmp_path / "scored.desc"
    file.write_bytes(descriptor_pb2.FileDescriptorSet(file=proto_files()).SerializeToString())
    payload = proto_message().SerializeToString()
    plain = SourceDecoder(source("protobuf", schema_file=file, message="org.Scored"), None)
    assert (await read(plain, [payload])).documents == [DOCUMENT]
    with_header = source("protobuf", schema_file=file, message="org.Scored", framing="confluent")
    assert (await read(SourceDecoder(with_header, None), [framed(1, payload, b"\x02\x02")])).documents == [DOCUMENT]
    with pytest.raises(SchemaUnknown, match=r"^message: there is no org.Scroed in .*org.Scored, org.Scored.Row"):
        SourceDecoder(source("protobuf", schema_file=file, message="org.Scroed"), None)


async def test_json_with_what_python_writes_and_json_has_not() -> None:
    values = [
        b'{"a": 1}',
        b'{"a": NaN}',
        b'{"a": "NaN}',
        b"",
        b'"\xff"',
        b'{"a": NaN, "b": "\\ud800"}',
        framed(1, b"{}"),
    ]
    run = await read(SourceDecoder(declared(), None), values)
    assert [record.offset for record in run.records] == [0, 1]
    assert repr(run.documents) == "[{'a': 1}, {'a': nan}]"
    assert [one.record.offset for one in run.rejected] == [2, 3, 4, 5, 6]
    assert "json-schema" in run.rejected[-1].reason
    with_schemas = SourceDecoder(source("json-schema"), None)
    assert (await read(with_schemas, [framed(1, b'{"a": 1}'), b'{"a": 2}'])).documents == [{"a": 1}, {"a": 2}]


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=100), st.binary(max_size=8))
def test_the_header_is_read_as_documented(number: int, indexes: list[int], payload: bytes) -> None:
    def varint(value: int) -> bytes:
        zigzag, found = value << 1, b""
        while zigzag > 0x7F:
            found, zigzag = found + bytes([zigzag & 0x7F | 0x80]), zigzag >> 7
        return found + bytes([zigzag])

    value = framed(number, payload, b"".join(map(varint, [len(indexes), *indexes])))
    written, start = in_value(value, indexed=True)
    assert (written.schema, list(written.indexes), value[start:]) == (number, indexes, payload)
    assert in_header(value[:start], indexed=True) == written


@given(st.binary(max_size=20))
def test_no_header_makes_the_reader_fail_otherwise_than_it_says(value: bytes) -> None:
    assert (schema_id(value) is None) == (len(value) < 5 or value[0] != 0)
    for read_header in (in_value, in_header):
        with suppress(FramingError):
            read_header(value, indexed=True)
