"""Decoding of records' values to documents, by the format that a source names."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.ingest.decoding import UNREADABLE, Record, Rejected, reason_of
from app.settings.event_sources import SourceDeclaration
from app.sources import avro, protobuf_messages
from app.sources.schema_registry import SchemaRegistry, SchemaUnknown
from app.sources.wire_format import (
    HEADER_BYTES,
    FramingError,
    WrittenWith,
    in_header,
    in_value,
    schema_header,
    schema_id,
)

Reader = Callable[[bytes, int], Any]

UNKNOWN_SECONDS = 1.0
"""Before a schema that the registry does not have is requested again; it may be registered by then."""
MOST_UNKNOWN = 10_000
"""Unknown schemas that are remembered: their names come from records."""


@dataclass(slots=True)
class DecodedRun:
    """A run's readable records with their documents, and the rejected records.

    `tombstones` counts the records without a value. They mark deletions, and are not mapped.
    """

    records: list[Record] = field(default_factory=list)
    documents: list[Any] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    tombstones: int = 0


class SourceDecoder:
    """Decoder of one source's runs. It gets a schema from the registry when a record first needs it."""

    def __init__(
        self, source: SourceDeclaration, registry: SchemaRegistry | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Create a decoder. Raises SchemaUnknown if the source's schema file cannot be read."""
        self._clock = clock
        self._registry = registry
        self._format = source.format
        self._is_framed = source.is_framed
        self._readers: dict[WrittenWith, Reader] = {}
        self._unknown: dict[WrittenWith, tuple[float, str]] = {}
        self._own: Reader | None = None
        self._wanted: Any = None
        if source.format == "avro" and source.schema_file is not None:
            schema = avro.read_file(source.schema_file)
            self._wanted, self._own = schema, avro.reader_of(schema)
        elif source.schema_file is not None and source.message is not None:
            self._own = protobuf_messages.reader_of(protobuf_messages.message_of(source.schema_file, source.message))

    async def decode(self, records: Sequence[Record]) -> DecodedRun:
        """Decode a run. Raises RegistryUnavailable if a schema is needed and the registry cannot be reached."""
        run = DecodedRun()
        valued = [record for record in records if record.value is not None]
        run.tombstones = len(records) - len(valued)
        values = [bytes(record.value or b"") for record in valued]
        if self._format in ("json", "json-schema"):
            _add_json(valued, values, run, framed=self._format == "json-schema")
        elif self._own is not None and not self._is_framed:
            _add(valued, values, [self._own] * len(values), [0] * len(values), run)
        else:
            await self._add_framed(valued, values, run)
        return run

    async def _add_framed(self, records: Sequence[Record], values: Sequence[bytes], run: DecodedRun) -> None:
        """Decode records in the wire format, each with the schema that it was written with, and add them to `run`."""
        readers: list[Reader | str] = []
        starts: list[int] = []
        for record, value in zip(records, values, strict=True):
            try:
                written, start = self._written_with(record, value)
            except FramingError as error:
                readers.append(str(error))
                starts.append(0)
                continue
            readers.append(self._readers.get(written) or await self._reader_or_reason(written))
            starts.append(start)
        _add(records, values, readers, starts, run)

    def _written_with(self, record: Record, value: bytes) -> tuple[WrittenWith, int]:
        """Return a value's schema, by the record's header or before the payload, and the payload's first byte.

        Raises FramingError.
        """
        indexed = self._format == "protobuf"
        header = schema_header(record.headers) if record.headers else None
        return in_value(value, indexed=indexed) if header is None else (in_header(header, indexed=indexed), 0)

    async def _reader_or_reason(self, written: WrittenWith) -> Reader | str:
        """Return the reader of a schema, or why there is none. An unknown schema is requested once in a second."""
        until, reason = self._unknown.get(written, (0.0, ""))
        if self._clock() < until:
            return reason
        try:
            reader = await self._reader(written)
        except SchemaUnknown as error:
            if len(self._unknown) >= MOST_UNKNOWN:
                self._unknown.clear()
            reason = f"schema {written.schema}: {error}"
            self._unknown[written] = self._clock() + UNKNOWN_SECONDS, reason
            return reason
        self._unknown.pop(written, None)
        self._readers[written] = reader
        return reader

    async def _reader(self, written: WrittenWith) -> Reader:
        if self._own is not None and self._format == "protobuf":
            return self._own
        if self._registry is None:
            raise SchemaUnknown("schema_registry_url is not set")
        is_protobuf = self._format == "protobuf"
        schema = await self._registry.schema(written.schema, serialized=is_protobuf)
        if schema.kind != self._format.upper():
            raise SchemaUnknown(f'it is of format {schema.kind.lower()}, and the source has format = "{self._format}"')
        referred = await self._registry.referred(schema.references, serialized=is_protobuf)
        if not is_protobuf:
            return avro.reader_of(avro.parsed(schema.schema, referred), self._wanted)
        file = protobuf_messages.file_of(schema, referred)
        return protobuf_messages.reader_of(protobuf_messages.message_at(file, written.indexes))


def _add(
    records: Sequence[Record],
    values: Sequence[bytes],
    readers: Sequence[Reader | str],
    starts: Sequence[int],
    run: DecodedRun,
) -> None:
    """Decode each value from its start and add it to `run`. A text in a reader's place is a reason to reject."""
    for record, value, reader, start in zip(records, values, readers, starts, strict=True):
        if isinstance(reader, str):
            run.rejected.append(Rejected(record, reader))
            continue
        try:
            document = reader(value, start)
        except Exception as error:  # noqa: BLE001 - bytes of others: a reader raises whatever comes of them
            run.rejected.append(Rejected(record, f"not as its schema says: {_words(error)}"))
            continue
        run.records.append(record)
        run.documents.append(document)


def _words(error: Exception) -> str:
    """Return why a value cannot be read. Errors of libraries may quote values, so only their class is named."""
    return str(error) if isinstance(error, avro.TrailingBytes) else type(error).__name__


_decode_json = msgspec.json.Decoder().decode


def _add_json(records: Sequence[Record], values: Sequence[bytes], run: DecodedRun, *, framed: bool) -> None:
    if framed:
        values = [value[HEADER_BYTES:] if schema_id(value) is not None else value for value in values]
    try:
        run.documents = list(map(_decode_json, values))
    except UNREADABLE:
        for record, value in zip(records, values, strict=True):
            try:
                document = _read_json(value)
            except UNREADABLE as error:
                hint = (
                    '; it has Confluent\'s header: is the format "json-schema", or "avro"?'
                    if value[:1] == b"\0"
                    else ""
                )
                run.rejected.append(Rejected(record, reason_of(error) + hint))
                continue
            run.records.append(record)
            run.documents.append(document)
    else:
        run.records = list(records)


def _read_json(value: bytes) -> Any:
    """Decode a value. NaN and Infinity are accepted as Python writes them, though JSON has neither.

    Raises one of UNREADABLE.
    """
    try:
        return _decode_json(value)
    except UNREADABLE:
        if b"NaN" not in value and b"Infinity" not in value:
            raise
        try:
            document = json.loads(value)
            msgspec.json.encode(document)  # raises where a text cannot be sent on
        except (ValueError, RecursionError):
            document = None
        if document is None:
            raise
        return document
