"""Parsed records are those that aiokafka itself hands out of the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from app.kafka.errors import Unreadable
from app.kafka.parsed_fetch import Fetched, FetchResults, NamedRecords, ParsedRecords, Spans, give_named, give_parsed

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


def stock(raw: bytes, at: int, level: int = READ_UNCOMMITTED, aborted: Sequence[tuple[int, int]] = ()) -> FetchResult:
    records = PartitionRecords(HERE, MemoryRecords(raw), list(aborted), at, None, None, True, level)
    return FetchResult(HERE, assignment=Assignment(at), partition_records=records, backoff=0.1)


def parsed(
    raw: bytes,
    at: int,
    level: int = READ_UNCOMMITTED,
    aborted: Sequence[tuple[int, int]] = (),
    spans: Spans | None = None,
) -> FetchResult:
    result = stock(raw, at, level, aborted)
    give_parsed(result, {} if spans is None else spans)
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


ABORT, COMMIT = 0, 1
Part = tuple[int, int, bool | None]
"""A producer; how many records of its transaction; whether it commits then (None: it goes on)."""

parts = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.none() | st.booleans()), max_size=12)


def transactions(parts: Sequence[Part]) -> tuple[bytes, list[tuple[int, int]], list[int]]:
    """Interleaved transactions as a broker sends them, which of them are aborted, and the committed offsets.

    The log ends where the first that is open begins (the last stable offset).
    """
    found: list[tuple[int, bytes]] = []
    at = 0
    begun: dict[int, list[int]] = {}
    aborted: list[tuple[int, int]] = []
    committed: list[int] = []
    for producer, n, commits in parts:
        if n:
            found.append((at, _batch(at, producer, [b"x"] * n)))
            begun.setdefault(producer, []).extend(range(at, at + n))
            at += n
        if commits is None or producer not in begun:
            continue
        found.append((at, _batch(at, producer, marker=COMMIT if commits else ABORT)))
        at += 1
        mine = begun.pop(producer)
        if commits:
            committed += mine
        else:
            aborted.append((producer, mine[0]))
    end = min((mine[0] for mine in begun.values()), default=at)
    raw = b"".join(batch for base, batch in found if base < end)
    return raw, aborted, sorted(offset for offset in committed if offset < end)


def _batch(base: int, producer: int, values: Sequence[bytes] = (), marker: int | None = None) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 1, producer, 0, 0, 1 << 20)
    for i, value in enumerate(values):
        builder.append(i, 0, b"key", value, [])
    if marker is not None:
        builder.append(0, 0, marker.to_bytes(4, "big"), b"\0" * 6, [])
    raw = bytearray(builder.build())
    raw[:8] = base.to_bytes(8, "big")
    if marker is not None:
        raw[22] |= 0x20  # a control batch
        raw[17:21] = calc_crc32c(bytes(raw[21:])).to_bytes(4, "big")
    return bytes(raw)


@given(parts, st.none() | st.integers(1, 4))
def test_what_was_aborted_is_left_out_as_aiokafka_does_it(parts: list[Part], most: int | None) -> None:
    raw, aborted, committed = transactions(parts)
    wanted, found = (make(raw, 0, READ_COMMITTED, aborted) for make in (stock, parsed))
    read: list[int] = []
    while found.has_more():
        read += [record.offset for record in found.getall(most)]
    while wanted.has_more():
        wanted.getall(most)
    assert read == committed
    assert found._assignment.position == wanted._assignment.position, "behind the markers"


@given(parts, st.none() | st.integers(1, 4))
def test_what_is_given_covers_the_log_without_a_hole(parts: list[Part], most: int | None) -> None:
    raw, aborted, committed = transactions(parts)
    spans: Spans = {}
    at, read = 0, list[int]()
    found = parsed(raw, at, READ_COMMITTED, aborted, spans)
    while raw and found.has_more():
        given_ = found.getall(most)
        if not given_:
            continue
        assert isinstance(given_, Fetched)
        assert given_.since == at
        assert all(at <= record.offset < given_.following for record in given_)
        read += [record.offset for record in given_]
        at = given_.following
    assert spans.get(HERE, (at, at)) == (at, found._assignment.position)
    assert read == committed


def damaged(codec: int = 0) -> bytes:
    """Two batches of one record each, offsets 0 and 2; the second is damaged, or of another codec."""
    raw = bytearray(wire([[(b"key", b"value", [])], [(b"key", b"value", [])]]))
    half = len(raw) // 2
    if not codec:
        raw[-2] ^= 1
        return bytes(raw)
    raw[half + 22] |= codec
    raw[half + 17 : half + 21] = calc_crc32c(bytes(raw[half + 21 :])).to_bytes(4, "big")
    return bytes(raw)


@pytest.mark.parametrize("give", [lambda result: give_parsed(result, {}), give_named], ids=["parsed", "others"])
@pytest.mark.parametrize(
    ("codec", "why"),
    [(0, "Invalid CRC"), (1, "BadGzipFile"), (2, "Error"), (3, "Error"), (4, "Error"), (5, "Unknown compression")],
)
def test_what_cannot_be_read_is_named_after_all_that_can(give: Any, codec: int, why: str) -> None:
    result = stock(damaged(codec), 0)
    give(result)
    assert [record.offset for record in result.getall()] == [0]
    assert not result.has_more()
    at = result._assignment.position
    for _ in range(2):  # again and again, and not the second time in silence
        result = stock(damaged(codec)[len(damaged(codec)) // 2 :], at)
        give(result)
        with pytest.raises(Unreadable) as error:
            result.getall()
        (line,) = str(error.value).splitlines()
        assert line.startswith(f"predictions partition 3 offset {at}: the batch up to offset 2 cannot be read (")
        assert why in line
        assert "install cramjam" in line if codec == 5 else "before offset 3 (kafka-delete-records.sh)" in line


@pytest.mark.parametrize(("batched", "kind"), [(True, ParsedRecords), (False, NamedRecords)])
def test_only_batched_topics_come_parsed(batched: bool, kind: type) -> None:
    results = FetchResults(lambda topic: batched and topic == HERE.topic)
    results[HERE] = stock(wire([[(b"key", b"value", [])]]), 0)
    assert type(results[HERE]) is FetchResult, "its fetcher takes any other type for an error"
    assert type(results[HERE]._partition_records) is kind
