"""What a consumer has fetched: records of batched topics as they were parsed, without an object around each.

aiokafka wraps every parsed record in a `ConsumerRecord`, at three times the cost of parsing it. An agent needs none of
what that adds: its run says which partition it is of.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException


class ParsedRecords(PartitionRecords):  # type: ignore[misc]
    """One fetch of a partition: gives records with key, value, headers, offset, timestamp and its type.

    Reads uncommitted, as Faust's consumers do: of transactions only their markers are left out.
    """

    next_fetch_offset: int
    _following = 0

    def _unpack_records(self) -> Iterator[Any]:
        return chain.from_iterable(self._batches())

    def _batches(self) -> Iterator[Iterable[Any]]:
        first, within = self.next_fetch_offset, True  # a batch may begin before what was asked for
        self._following = first
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not batch.is_control_batch:
                yield [one for one in batch if one.offset >= first] if within else batch
            within = within and batch.next_offset <= first
            self._following = max(first, batch.next_offset)  # what ends a batch may have been compacted away

    def take(self, most: int | None) -> tuple[list[Any], bool]:
        """The next records, and whether there may be more."""
        found = list(islice(self._records_iterator, most))
        more = most is not None and len(found) == most
        self.next_fetch_offset = found[-1].offset + 1 if more else self._following
        return found, more


def give_parsed(result: FetchResult) -> None:
    """Make a fetch that is not begun yet give parsed records, many at a time.

    It stays a `FetchResult`: its fetcher takes any other type for an error.
    """
    of = result._partition_records
    result._partition_records = ParsedRecords(
        of._tp, of._records, of._aborted_transactions, of.next_fetch_offset,
        None, None, of._check_crcs, of._isolation_level,
    )  # fmt: skip
    result.getall = partial(_taken, weakref.proxy(result))  # a cycle would hold a fetch that is dropped


def _taken(result: FetchResult, max_records: int | None = None) -> list[Any]:
    if not result.check_assignment(result._topic_partition) or not result.has_more():
        return []
    found: list[Any]
    found, more = result._partition_records.take(max_records)
    result._update_position()
    if not more:
        result._partition_records = None
    return found


class FetchResults(OrderedDict[TopicPartition, Any]):
    """What a fetcher holds until it is asked for: batched topics' results give parsed records."""

    def __init__(self, is_batched: Callable[[str], bool]) -> None:
        super().__init__()
        self._is_batched = is_batched

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        if type(result) is FetchResult and self._is_batched(tp.topic):
            give_parsed(result)
        super().__setitem__(tp, result)
