"""Request bodies: strict decoding of one item or many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import msgspec
from fastapi import Request

from api.http.problems import Problem
from api.intake.unknown_fields import MOST_NAMES, UnknownFields, decode_event, decode_list, field_line, names_in
from topics.reasons import field_error, is_missing

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_ITEMS = 10_000

NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})


class Rejection(msgspec.Struct, frozen=True):
    """An item that was not taken: its position in the body and the reason."""

    index: int
    error: str


class Incomplete(Rejection, frozen=True):
    """A rejected item that lacks required fields."""


def rejection_of(index: int, error: Exception, document: bytes | msgspec.Raw, kind: type, at: str = "") -> Rejection:
    """Return why an item cannot be decoded as its kind, with all missing fields. `at` is the prefix of its location."""
    if not is_missing(error):
        return Rejection(index, f"{at}{field_error(error)}")
    try:
        there = _object.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as broken:  # a missing field is found before the end
        return Rejection(index, f"{at}{field_error(broken)}")
    needed = [one.name for one in msgspec.structs.fields(kind) if one.required]
    lacking = "; ".join(f"{at}{name}: missing" for name in needed if name not in there)
    unknown = "".join(f"; {at}{field_line(name, kind)}" for name in names_in(document, kind)[:MOST_NAMES])
    return Incomplete(index, f"{lacking}{unknown}" if lacking else f"{at}{field_error(error)}")


@dataclass(frozen=True, slots=True)
class Items(Generic[T_co]):
    """Decoded items, each with its position, and the rejections of the others. `warnings`: lines about the accepted."""

    accepted: Sequence[tuple[int, T_co]]
    rejected: Sequence[Rejection]
    warnings: tuple[str, ...] = ()


async def read_body(request: Request) -> bytes:
    """Return the body, whose size and time the authentication limits.

    Raises Problem 408, 413, 503, and 415 for a compressed body.
    """
    packed = request.headers.get("content-encoding", "identity")
    if packed.lower() != "identity":
        raise Problem(
            415,
            f"content-encoding: {packed} is not taken; send the body as it is",
            headers={"Accept-Encoding": "identity"},
        )
    return await request.body()


Explain = Callable[[Exception, bytes], str]
"""Function that returns the error of a document that could not be decoded."""


def _by_field(error: Exception, _: bytes) -> str:
    return field_error(error)


def decode_one(body: bytes, decoder: msgspec.json.Decoder[T], explain: Explain = _by_field) -> T:
    """Decode one JSON object. Raises Problem 400 where the body is not JSON, 422 where a field is wrong."""
    if not body.strip():
        raise Problem(400, "the body is empty")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Problem(422, explain(error, body)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, field_error(error)) from None


def decode_whole(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode one JSON object.

    Raises Problem 400 where the body is not JSON or lacks fields, with all their names; 422 for a wrong field.
    """
    if not body.strip():
        raise Problem(400, "the body is empty")
    try:
        _any.decode(body)
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        wrong = rejection_of(0, error, body, decoder.type)
        raise Problem(400 if isinstance(wrong, Incomplete) else 422, wrong.error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, field_error(error)) from None


def decode_items(
    body: bytes, content_type: str, decoder: msgspec.json.Decoder[T], check: Callable[[T], str],
    explain: Explain = _by_field,
) -> Items[T]:  # fmt: skip
    """Decode an object, a list, or lines of objects.

    `check` returns the error of a decoded item, or an empty text. Raises Problem 400 where the body is empty or not
    JSON at all, 413 beyond MAX_ITEMS.
    """
    kind = content_type.partition(";")[0].strip().lower()
    at_once = _all_sound(body, kind, decoder, check)
    if at_once is not None:
        return at_once
    documents = _documents(body, kind)
    if not documents:
        raise Problem(400, "the body has no event")
    if len(documents) > MAX_ITEMS:
        raise Problem(413, f"{len(documents):,} events in one request; at most {MAX_ITEMS:,} are taken")
    unknown = UnknownFields(decoder.type)
    found = sift(_each(documents, decoder, explain, unknown), check)
    return replace(found, warnings=unknown.warnings())


def sift(read: Iterable[tuple[int, T] | Rejection], check: Callable[[T], str]) -> Items[T]:
    """Separate valid items, by position, from unreadable ones and those with an error by `check`."""
    accepted: list[tuple[int, T]] = []
    rejected: list[Rejection] = []
    for one in read:
        if isinstance(one, Rejection):
            rejected.append(one)
        elif wrong := check(one[1]):
            rejected.append(Rejection(one[0], wrong))
        else:
            accepted.append(one)
    return Items(accepted, rejected)


def _each(
    documents: Iterable[bytes | msgspec.Raw], decoder: msgspec.json.Decoder[T], explain: Explain, unknown: UnknownFields
) -> Iterator[tuple[int, T] | Rejection]:
    for index, document in enumerate(documents):
        try:
            yield index, decode_event(document, decoder, index, unknown)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            if is_missing(error):
                yield rejection_of(index, error, document, decoder.type)
            else:
                yield Rejection(index, explain(error, bytes(document)))


def _all_sound(body: bytes, kind: str, decoder: msgspec.json.Decoder[T], check: Callable[[T], str]) -> Items[T] | None:
    """Decode a list without errors, the usual case, in one step; None where its items must be decoded one by one."""
    if body[:1] != b"[" or kind in NDJSON:
        return None
    found = UnknownFields(decoder.type)
    try:
        items = decode_list(body, decoder, found)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if not 0 < len(items) <= MAX_ITEMS or any(map(check, items)):
        return None
    return Items(list(enumerate(items)), (), found.warnings())


_list = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any = msgspec.json.Decoder(msgspec.Raw)


def _documents(body: bytes, kind: str) -> Sequence[bytes | msgspec.Raw]:
    body = body.strip()
    if kind in NDJSON or (body[:1] == b"{" and _starts_lines(body)):
        return [line for line in body.split(b"\n") if line.strip()]
    try:
        return _list.decode(body) if body[:1] == b"[" else [_any.decode(body)] if body else []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, field_error(error)) from None


def _starts_lines(body: bytes) -> bool:
    """Return whether the first line is a complete document and more lines follow."""
    first, _, rest = body.partition(b"\n")
    if not rest:
        return False
    try:
        _any.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
