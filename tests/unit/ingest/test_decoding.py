"""Runs decoded in one call: never otherwise than record by record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ingest.decoding import LinesDecoder, Record
from app.ingest.feedback import feedback_batch
from app.ingest.predictions import heads_of

Document = dict[str, float | str]
DECODER: LinesDecoder[Document] = LinesDecoder(Document)
PIECES = st.sampled_from(['{"a":1}', '{"a":"}"}', "{}", "{", "}", '"a":1', ",", "\n", "\r", " ", '{"b":2}', ""])


@dataclass(slots=True)
class Stub:
    key: bytes | None
    value: bytes | None
    offset: int = 0
    topic: str = "predictions"
    partition: int = 0
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def parsed(document: bytes) -> object:
    """What the standard library makes of one document; None where it is no object."""
    try:
        found = json.loads(document)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


@given(st.lists(st.lists(PIECES, max_size=5).map("".join).map(str.encode), max_size=5))
def test_all_at_once_is_one_by_one(documents: list[bytes]) -> None:
    alone = [parsed(document) for document in documents]
    found = DECODER.decode(documents)
    assert found is None or found == alone
    if None not in alone and not any(document.strip() != document or b"\n" in document for document in documents):
        assert found is not None, "sound records have to take the fast way"


@pytest.mark.parametrize(
    "values",
    [
        [b'{"prediction_id":"a","actual":1}{"prediction_id":"b","actual":1}', b""],
        [b'{"prediction_id":"a","actual":1}\n{"prediction_id":"b","actual":1}', None],
        [b'{"prediction_id":"a","actual":1', b'}\n{"prediction_id":"b","actual":1}'],
    ],
)
def test_two_events_in_one_record_are_not_given_to_the_next(values: list[bytes | None]) -> None:
    records: list[Record] = [Stub(key, value) for key, value in zip((b"a", b"b"), values, strict=True)]
    batch, rejected = feedback_batch(records)
    assert len(batch.ids) == 0
    assert [one.record for one in rejected] == records


def test_keys_with_line_ends_are_compared_one_by_one() -> None:
    keys, ids = (b"a\nb", b"c"), ("a", "b\nc")
    values = [
        json.dumps({
            "prediction_id": id_, "model": "m", "model_version": "1", "timestamp": 1, "features": {}, "prediction": 1,
        }).encode()
        for id_ in ids
    ]  # fmt: skip
    records: list[Record] = [Stub(key, value) for key, value in zip(keys, values, strict=True)]
    found = heads_of(records)
    assert found.heads == []
    assert {one.reason for one in found.rejected} == {"the record's key is not its prediction_id"}
    own: list[Record] = [Stub(id_.encode(), value) for id_, value in zip(ids, values, strict=True)]
    assert len(heads_of(own).heads) == 2


@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_what_is_nested_too_deeply_is_no_event(depth: int) -> None:
    deep = b'{"prediction_id":"a","actual":1,"x":' + b"[" * depth + b"]" * depth + b"}"
    batch, rejected = feedback_batch([Stub(b"a", deep), Stub(b"b", b'{"prediction_id":"b","actual":1}')])
    assert len(batch.ids) == 1
    assert [one.reason for one in rejected] == ["nested too deeply"]
