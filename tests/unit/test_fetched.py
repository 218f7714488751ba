"""Parsed records are those that aiokafka itself hands out of the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from app.runtime.fetched import FetchResults, ParsedRecords, give_parsed

HERE = TopicPartition("predictions", 3)
Batch = list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]

blobs = st.none() | st.binary(max_size=20)
headers = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=2)
batches: st.SearchStrategy[list[Batch]] = st.lists(
    st.lists(st.tuples(blobs, blobs, headers), min_size=1, max_size=6), min_size=1, max_size=4
)


def wire(batches: Sequence[Batch], at: int = 0) -> bytes:
    """Record batches as a broker sends them from an offset on; offsets from 0, one left out before each batch."""
    found, base = b"", 0
    for batch in batches:
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
        for i, (key, value, more) in enumerate(batch):
            builder.append(i, 1_700_000_000_000 + i, key, value, more)
        raw = bytearray(builder.build())
        raw[:8] = base.to_bytes(8, "big")  # the base offset is not in the checksum
        if base + len(batch) > at:
            found += bytes(raw)
        base += len(batch) + 1
    return found


class Assignment:
    """What a fetch asks of the partition that it is of."""

    active, paused = True, False

    def __init__(self, position: int) -> None:
        self.position = position

    def state_value(self, tp: TopicPartition) -> Assignment:
        assert tp == HERE
        return self

    def consumed_to(self, position: int) -> None:
        self.position = position


def stock(raw: bytes, at: int) -> FetchResult:
    records = PartitionRecords(HERE, MemoryRecords(raw), None, at, None, None, True, READ_UNCOMMITTED)
    return FetchResult(HERE, assignment=Assignment(at), partition_records=records, backoff=0.1)


def parsed(raw: bytes, at: int) -> FetchResult:
    result = stock(raw, at)
    give_parsed(result)
    return result


@given(batches, st.integers(0, 8), st.none() | st.integers(1, 7))
def test_they_are_those_of_aiokafka(batches: list[Batch], at: int, most: int | None) -> None:
    raw = wire(batches, at)
    wanted, found = stock(raw, at), parsed(raw, at)
    while wanted.has_more():
        known, told = wanted.getall(most), found.getall(most)
        assert list(map(seen, told)) == list(map(seen, known))
        assert found._assignment.position == wanted._assignment.position
        assert found.has_more() == wanted.has_more()


def seen(record: Any) -> tuple[object, ...]:
    """What is read of a record."""
    headers = tuple(record.headers)
    return record.offset, record.timestamp, record.timestamp_type, record.key, record.value, headers


def test_what_is_not_to_be_read_now_is_dropped() -> None:
    raw = wire([[(b"key", b"value", [])] * 3])
    for change in ({"active": False}, {"paused": True}, {"position": 2}):
        result = parsed(raw, 0)
        for name, value in change.items():
            setattr(result._assignment, name, value)
        assert result.getall() == []
        assert not result.has_more()


def test_bytes_that_changed_on_the_way_are_told() -> None:
    raw = bytearray(wire([[(b"key", b"value", [])]]))
    raw[-2] ^= 1
    result = parsed(bytes(raw), 0)
    with pytest.raises(CorruptRecordException):
        result.getall()


@pytest.mark.parametrize(("batched", "kind"), [(True, ParsedRecords), (False, PartitionRecords)])
def test_only_batched_topics_come_parsed(batched: bool, kind: type) -> None:
    results = FetchResults(lambda topic: batched and topic == HERE.topic)
    results[HERE] = stock(wire([[(b"key", b"value", [])]]), 0)
    assert type(results[HERE]) is FetchResult, "its fetcher takes any other type for an error"
    assert type(results[HERE]._partition_records) is kind
