"""CloudEvents 1.0 over HTTP: structured, binary and batched, with their content and attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal, TypeVar
from urllib.parse import unquote

import msgspec
from msgspec import Meta

from api.http.problems import Problem
from api.intake.bodies import MAX_ITEMS, Items, Rejection, rejection_of, sift
from api.intake.unknown_fields import UnknownFields, decode_event
from topics.reasons import field_error

T = TypeVar("T")

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
BINARY_MARK = "ce-specversion"

Filled = Annotated[str, Meta(min_length=1)]


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """An event's attributes and its data as received. The attributes from `inferenceservicename` on are KServe's."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1, max_length=180)]
    source: Filled
    type: Filled
    time: Annotated[datetime, Meta(tz=True)] | None = None
    inferenceservicename: str | None = None
    namespace: str | None = None
    component: str | None = None
    endpoint: str | None = None
    statuscode: int | str | None = None
    data: msgspec.Raw = msgspec.Raw()
    data_base64: bytes | None = None

    @property
    def content(self) -> bytes:
        """Return the event's content."""
        return self.data_base64 if self.data_base64 is not None else bytes(self.data)


_envelope = msgspec.json.Decoder(Envelope)
_list = msgspec.json.Decoder(list[msgspec.Raw])

Found = Sequence[Envelope | Rejection]


def are_cloud_events(headers: Mapping[str, str]) -> bool:
    """Return whether a request has CloudEvents."""
    return BINARY_MARK in headers or headers.get("content-type", "").lower().startswith("application/cloudevents")


def envelopes_of(body: bytes, headers: Mapping[str, str]) -> Found:
    """Return the events of a request, or the reason why one cannot be read, by position.

    Raises Problem 400 where a batch is not a list, 413 beyond MAX_ITEMS, 415 for another format.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == STRUCTURED:
        return [_read(0, body)]
    if kind == BATCH:
        return _batch(body)
    if BINARY_MARK not in headers:
        raise Problem(415, f"content-type: CloudEvents are taken as {STRUCTURED}, as {BATCH}, or in ce- headers")
    attributes: dict[str, object] = {
        name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-") and name[3:7] != "data"
    }
    try:
        return [msgspec.convert({**attributes, "data": msgspec.Raw(body)}, Envelope, strict=False)]
    except msgspec.ValidationError as error:
        return [Rejection(0, f"ce-{field_error(error)}")]


def decoded(
    found: Iterable[tuple[int, Envelope | Rejection]],
    decoder: msgspec.json.Decoder[T],
    check: Callable[[T], str],
    complete: Callable[[T, Envelope], T],
) -> Items[T]:
    """Decode the contents of events, by position.

    `complete` adds values that only the envelope has; `check` returns the error of an item.
    """

    unknown = UnknownFields(decoder.type)

    def read() -> Iterator[tuple[int, T] | Rejection]:
        for index, envelope in found:
            if isinstance(envelope, Rejection):
                yield envelope
                continue
            try:
                yield index, complete(decode_event(envelope.content, decoder, index, unknown), envelope)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                yield rejection_of(index, error, envelope.content, decoder.type, "data: ")

    sifted = sift(read(), check)
    return replace(sifted, warnings=unknown.warnings())


def _batch(body: bytes) -> Found:
    try:
        documents = _list.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Problem(400, field_error(error)) from None
    if not documents:
        raise Problem(400, "the body has no event")
    if len(documents) > MAX_ITEMS:
        raise Problem(413, f"{len(documents):,} events in one request; at most {MAX_ITEMS:,} are taken")
    return [_read(index, document) for index, document in enumerate(documents)]


def _read(index: int, document: bytes | msgspec.Raw) -> Envelope | Rejection:
    try:
        return _envelope.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Rejection(index, field_error(error))
