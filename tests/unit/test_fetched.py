"""Parsed records are those that aiokafka itself hands out of the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from app.runtime.fetched import FetchResults, ParsedRecords, parsed

HERE = TopicPartition("predictions", 3)
Batch = list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]

blobs = st.none() | st.binary(max_size=20)
headers = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=2)
batches: st.SearchStrategy[list[Batch]] = st.lists(
    st.lists(st.tuples(blobs, blobs, headers), min_size=1, max_size=6), min_size=1, max_size=4
)


def wire(batches: Sequence[Batch]) -> bytes:
    """Record batches as a broker sends them, offsets from 0, one left out before each batch."""
    found, base = b"", 0
    for batch in batches:
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
        for i, (key, value, more) in enumerate(batch):
            builder.append(i, 1_700_000_000_000 + i, key, value, more)
        raw = bytearray(builder.build())
        raw[:8] = base.to_bytes(8, "big")  # the base offset is not in the checksum
        found += bytes(raw)
        base += len(batch) + 1
    return found


def stock(raw: bytes, at: int) -> PartitionRecords:
    return PartitionRecords(HERE, MemoryRecords(raw), None, at, None, None, True, READ_UNCOMMITTED)


@given(batches, st.integers(0, 8))
def test_they_are_those_of_aiokafka(batches: list[Batch], at: int) -> None:
    raw = wire(batches)
    wanted, found = stock(raw, at), parsed(stock(raw, at))
    known = [(r.offset, r.timestamp, r.timestamp_type, r.key, r.value, r.headers) for r in wanted]
    told = []
    for record in found:
        assert found.next_fetch_offset == record.offset + 1
        told.append((record.offset, record.timestamp, record.timestamp_type, record.key, record.value))
        assert tuple(record.headers) == known[len(told) - 1][-1]
    assert told == [one[:-1] for one in known]
    assert found.next_fetch_offset == wanted.next_fetch_offset


def test_bytes_that_changed_on_the_way_are_told() -> None:
    raw = bytearray(wire([[(b"key", b"value", [])]]))
    raw[-2] ^= 1
    with pytest.raises(CorruptRecordException):
        list(parsed(stock(bytes(raw), 0)))


@pytest.mark.parametrize(("batched", "kind"), [(True, ParsedRecords), (False, PartitionRecords)])
def test_only_batched_topics_come_parsed(batched: bool, kind: type) -> None:
    results = FetchResults(lambda topic: batched and topic == HERE.topic)
    records = stock(wire([[(b"key", b"value", [])]]), 0)
    results[HERE] = FetchResult(HERE, assignment=None, partition_records=records, backoff=0.1)
    assert type(results[HERE]._partition_records) is kind
