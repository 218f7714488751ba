"""Decoding of Protobuf messages to documents, with the names of their fields and whole numbers unrounded."""

from __future__ import annotations

import base64
import binascii
import importlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import DecodeError, Message

from app.sources.schema_registry import RegisteredSchema, SchemaUnknown

WELL_KNOWN = (
    "any", "source_context", "type", "api", "descriptor", "duration", "empty", "field_mask", "struct", "timestamp",
    "wrappers",
)  # fmt: skip
"""Files of `google/protobuf/` that compilers bring with them, each after those that it imports."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRAPPERS = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
_JSON = frozenset({"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"})

Getter = Callable[[Any], Any]


def file_of(schema: RegisteredSchema, referred: Iterable[tuple[str, RegisteredSchema]]) -> FileDescriptor:
    """Build a file from a registry's schemas, which are descriptors in base64. Raises SchemaUnknown."""
    protos = []
    for name, one in [*referred, ("default.proto", schema)]:
        try:
            proto = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(one.schema, validate=True))
        except (binascii.Error, DecodeError, ValueError):
            which = "it" if one is schema else f"the schema {name}, which it refers to,"
            raise SchemaUnknown(f"{which} is not returned as a descriptor: set schema_file and message") from None
        proto.name = name  # as others import it
        protos.append(proto)
    return _added(protos)[-1]


def message_of(path: Path, name: str) -> Descriptor:
    """Read a message type by its full name from a file of `protoc --include_imports --descriptor_set_out`.

    Raises SchemaUnknown.
    """
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file
    except OSError as error:
        raise SchemaUnknown(f"schema_file: cannot read {path}: {error.strerror}") from None
    except DecodeError:
        raise SchemaUnknown(
            f"schema_file: {path} is none of protoc --include_imports --descriptor_set_out=FILE"
        ) from None
    known: dict[str, Descriptor] = {}
    for file in _added(files):
        for message in file.message_types_by_name.values():
            known |= {one.full_name: one for one in _with_nested(message)}
    if name not in known:
        raise SchemaUnknown(f"message: there is no {name} in {path}; there are {', '.join(sorted(known)[:20])}")
    return known[name]


def message_at(file: FileDescriptor, indexes: tuple[int, ...]) -> Descriptor:
    """Return the message type at the wire format's indexes. Raises SchemaUnknown."""
    messages = list(file.message_types_by_name.values())
    found: Descriptor | None = None
    for index in indexes:
        if not 0 <= index < len(messages):
            raise SchemaUnknown(f"the Protobuf schema has no message {'/'.join(map(str, indexes))}")
        found = messages[index]
        messages = list(found.nested_types)
    assert found is not None  # there is one index at least
    return found


def _with_nested(message: Descriptor) -> Iterable[Descriptor]:
    yield message
    for nested in message.nested_types:
        yield from _with_nested(nested)


def _added(protos: Iterable[descriptor_pb2.FileDescriptorProto]) -> list[FileDescriptor]:
    """Add files to a new pool and return them. Raises SchemaUnknown."""
    pool = descriptor_pool.DescriptorPool()
    own = list(protos)
    names = {proto.name for proto in own}
    try:
        for kind in WELL_KNOWN:
            name = f"google/protobuf/{kind}.proto"
            if name not in names:
                module = importlib.import_module(f"google.protobuf.{kind}_pb2")
                pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        for proto in own:
            pool.AddSerializedFile(proto.SerializeToString())
        return [pool.FindFileByName(proto.name) for proto in own]
    except (TypeError, KeyError, ValueError) as error:
        raise SchemaUnknown(f"the Protobuf schema cannot be read: {' '.join(str(error).split())[:300]}") from None


def reader_of(descriptor: Descriptor) -> Callable[[bytes, int], dict[str, Any]]:
    """Return a reader of messages of one type, which raises DecodeError."""
    kind = message_factory.GetMessageClass(descriptor)
    document = Documents().of(descriptor)

    def read(value: bytes, start: int) -> dict[str, Any]:
        found = kind.FromString(value[start:])
        result: dict[str, Any] = document(found)
        return result

    return read


class Documents:
    """Converters of messages to documents, by their descriptors. Optional fields that are not set are null."""

    def __init__(self) -> None:
        self._known: dict[str, Getter] = {}

    def of(self, descriptor: Descriptor) -> Getter:
        """Return a function that converts a message of one type to a document."""
        name = descriptor.full_name
        if name not in self._known:
            self._known[name] = self._later(name)  # a message may have its own type within itself
            self._known[name] = self._special(name) or self._members(descriptor)
        return self._known[name]

    def _later(self, name: str) -> Getter:
        def document(message: Message) -> Any:
            return self._known[name](message)

        return document

    def _special(self, name: str) -> Getter | None:
        if name == "google.protobuf.Timestamp":
            return _moment
        if name == "google.protobuf.Duration":
            return lambda message: message.seconds + message.nanos / 1e9
        if name in _WRAPPERS:
            return lambda message: message.value
        if name in _JSON:
            return lambda message: json_format.MessageToDict(message)  # noqa: PLW0108 - it has other arguments too
        return None

    def _members(self, descriptor: Descriptor) -> Getter:
        members = [(field.name, self._getter(field)) for field in descriptor.fields]
        return lambda message: {name: member(message) for name, member in members}

    def _getter(self, field: FieldDescriptor) -> Getter:
        name = field.name
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value_of = self._value(field.message_type.fields_by_name["value"])
            return lambda message: {_key(key): value_of(one) for key, one in getattr(message, name).items()}
        value_of = self._value(field)
        if field.is_repeated:
            return lambda message: [value_of(one) for one in getattr(message, name)]
        if field.has_presence:
            return lambda message: value_of(getattr(message, name)) if message.HasField(name) else None
        return lambda message: value_of(getattr(message, name))

    def _value(self, field: FieldDescriptor) -> Getter:
        if field.message_type is not None:
            self.of(field.message_type)
            return self._later(field.message_type.full_name)
        if field.enum_type is not None:
            names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
            return lambda number: names.get(number, number)
        return _itself


def _itself(value: Any) -> Any:
    return value


def _key(key: Any) -> str:
    return ("true" if key else "false") if isinstance(key, bool) else str(key)


def _moment(message: Message) -> datetime | None:
    """Return a timestamp rounded down to microseconds; None if it is outside the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    except OverflowError:
        return None
