"""What a consumer has fetched: records of batched topics as they were parsed, without an object around each.

aiokafka wraps every parsed record in a `ConsumerRecord`, at three times the cost of parsing it. An agent needs none of
what that adds: its run says which partition it is of.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException


class ParsedRecords(PartitionRecords):  # type: ignore[misc]
    """One fetch of a partition: yields records with key, value, headers, offset, timestamp and its type.

    Reads uncommitted, as Faust's consumers do: of transactions only their markers are left out.
    """

    next_fetch_offset: int

    def __iter__(self) -> Iterator[Any]:
        found: Iterator[Any] = self._records_iterator
        return found

    def _unpack_records(self) -> Iterator[Any]:
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            for record in () if batch.is_control_batch else batch:
                if record.offset >= self.next_fetch_offset:  # a batch may begin before what was asked for
                    self.next_fetch_offset = record.offset + 1
                    yield record
            self.next_fetch_offset = batch.next_offset  # what ends a batch may have been compacted away


def parsed(records: PartitionRecords) -> ParsedRecords:
    """The same fetch, not begun yet, as parsed records."""
    return ParsedRecords(
        records._tp, records._records, records._aborted_transactions, records.next_fetch_offset,
        None, None, records._check_crcs, records._isolation_level,
    )  # fmt: skip


class FetchResults(OrderedDict[TopicPartition, Any]):
    """What a fetcher holds until it is asked for: batched topics' results give parsed records."""

    def __init__(self, is_batched: Callable[[str], bool]) -> None:
        super().__init__()
        self._is_batched = is_batched

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        if type(result) is FetchResult and self._is_batched(tp.topic):
            result._partition_records = parsed(result._partition_records)
        super().__setitem__(tp, result)
