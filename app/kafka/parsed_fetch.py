"""Fetched records of batched topics as they were parsed, without an object around each.

aiokafka wraps every parsed record in a `ConsumerRecord`, at three times the cost of parsing. An agent needs nothing
that this adds: its batch has the partition.

An unreadable batch, of any topic, raises an `Unreadable` that names its place. The records before it are returned
first.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError

from app.kafka.errors import Unreadable

Spans = dict[TopicPartition, tuple[int, int]]
"""By partition: the last range of offsets that was read without a record, from the first to before the second."""


class Fetched(list[Any]):
    """Records of a partition, in order: everything readable from offset `since` to before `following`.

    Offsets in between without a record are no loss: markers of transactions, aborted or compacted records.
    """

    def __init__(self, records: Iterable[Any], since: int, following: int) -> None:
        super().__init__(records)
        self.since, self.following = since, following


class _Batches:
    """Batches of a fetch, with a note of the last one returned."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.last: Any = None

    def has_next(self) -> bool:
        found: bool = self._records.has_next()
        return found

    def next_batch(self) -> Any:
        self.last = self._records.next_batch()
        return self.last


class NamedRecords(PartitionRecords):  # type: ignore[misc]
    """aiokafka's own records of one fetch. Raises Unreadable, which names the unreadable batch."""

    def __init__(self, of: PartitionRecords) -> None:
        self._batches_read = _Batches(of._records)
        super().__init__(
            of._tp, self._batches_read, of._aborted_transactions, of.next_fetch_offset,
            of._key_deserializer, of._value_deserializer, of._check_crcs, of._isolation_level,
        )  # fmt: skip

    def _unpack_records(self) -> Iterator[Any]:
        began = self.next_fetch_offset
        try:
            yield from super()._unpack_records()
        except Exception as error:
            if self.next_fetch_offset == began:
                raise self._unreadable(error) from error
            # the records read before are returned first: the next fetch begins here, and then there are none before

    def _unreadable(self, error: Exception) -> Unreadable:
        batch = self._batches_read.last
        end = self.next_fetch_offset + 1 if batch is None else max(batch.next_offset, self.next_fetch_offset + 1)
        codec = isinstance(error, UnsupportedCodecError)
        why = str(error) if codec or isinstance(error, CorruptRecordException) else f"{type(error).__name__}: {error}"
        remedy = "install cramjam, which reads it" if codec else None
        return Unreadable(self._tp.topic, self._tp.partition, self.next_fetch_offset, end, why, remedy)


class ParsedRecords(NamedRecords):
    """One fetch of a partition. Returns records with key, value, headers, offset, timestamp and its type.

    Markers of transactions are left out, and with `read_committed` aborted records, as in aiokafka.
    """

    next_fetch_offset: int
    _following = 0

    def _unpack_records(self) -> Iterator[Any]:
        return chain.from_iterable(self._batches())

    def _batches(self) -> Iterator[Iterable[Any]]:
        first, within = self.next_fetch_offset, True  # a batch may begin before the requested offset
        self._following = first
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not self._is_aborted(batch) and not batch.is_control_batch:
                yield [one for one in batch if one.offset >= first] if within else batch
            within = within and batch.next_offset <= first
            self._following = max(first, batch.next_offset)  # the end of a batch may have been compacted away

    def _is_aborted(self, batch: Any) -> bool:
        if self._isolation_level != READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return batch.is_transactional and batch.producer_id in self._aborted_producers

    def take(self, most: int | None) -> tuple[list[Any], bool]:
        """Return the next records, and whether there may be more. Raises Unreadable where no record comes before."""
        found: list[Any] = []
        try:
            found.extend(islice(self._records_iterator, most))  # records before an error are kept
        except Exception as error:
            self.next_fetch_offset = found[-1].offset + 1 if found else max(self.next_fetch_offset, self._following)
            if not found:
                raise self._unreadable(error) from error
            return found, False
        more = most is not None and len(found) == most
        self.next_fetch_offset = found[-1].offset + 1 if more else self._following
        return found, more


def give_parsed(result: FetchResult, spans: Spans) -> None:
    """Make a fetch that has not begun return parsed records, many at a time, as `Fetched`.

    It is still a `FetchResult`: its fetcher treats any other type as an error.
    """
    result._partition_records = ParsedRecords(result._partition_records)
    result.getall = partial(_taken, weakref.proxy(result), spans)  # a cycle would keep a dropped fetch


def give_named(result: FetchResult) -> None:
    """Make a fetch that has not begun name its unreadable batches."""
    result._partition_records = NamedRecords(result._partition_records)


def _taken(result: FetchResult, spans: Spans, max_records: int | None = None) -> list[Any]:
    tp = result._topic_partition
    if not result.check_assignment(tp) or not result.has_more():
        return []
    records = result._partition_records
    since = records.next_fetch_offset
    found: list[Any]
    found, more = records.take(max_records)
    result._update_position()
    if not more:
        result._partition_records = None
    empty = spans.pop(tp, None)
    if empty is not None and empty[1] == since:
        since = empty[0]
    if found:
        return Fetched(found, since, records.next_fetch_offset)
    spans[tp] = since, records.next_fetch_offset
    return []


class FetchResults(OrderedDict[TopicPartition, Any]):
    """Results that a fetcher keeps until they are taken. Those of batched topics return parsed records."""

    def __init__(self, is_batched: Callable[[str], bool] = lambda topic: False) -> None:
        super().__init__()
        self._is_batched = is_batched
        self._spans: Spans = {}

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        if type(result) is FetchResult:
            if self._is_batched(tp.topic):
                give_parsed(result, self._spans)
            else:
                give_named(result)
        super().__setitem__(tp, result)
