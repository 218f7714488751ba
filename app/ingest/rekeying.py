"""Records in another partition than their key leads to: a producer with another partitioner has sent them.

Such a record is sent again, once, to the partition where its id is joined. A header says where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from app.ingest.decoding import Record
from topics.partition import partitions_of

_key = attrgetter("key")

REKEYED = "driftline-rekeyed"
"""The header of a record that was sent again: partition and offset of where it was, as `3/1042`."""

CLIENT_HEADERS = ("client.id", "client_id", "client-id", "producer", "ce_source", "source")
"""Headers that may name a producer, the first found; a record itself does not say who has sent it."""
MOST_OF_NAME = 80


def strays(records: Sequence[Record], partition: int, partitions: int) -> NDArray[np.bool_]:
    """Which records of a partition have a key that leads elsewhere, and were not sent again before."""
    keys = list(map(_key, records))
    if None in keys:
        keys = [key or b"" for key in keys]
    found: NDArray[np.bool_] = partitions_of(keys, partitions) != partition
    for i in np.flatnonzero(found).tolist():
        record = records[i]
        found[i] = record.key is not None and origin_of(record) is None
    return found


def origin_of(record: Record) -> tuple[int, int] | None:
    """Partition and offset of where a record was before it was sent again; None of one that was not."""
    for name, value in record.headers:
        if name == REKEYED:
            partition, _, offset = bytes(value or b"").partition(b"/")
            return (int(partition), int(offset)) if partition.isdigit() and offset.isdigit() else None
    return None


def origin_header(partition: int, record: Record) -> tuple[str, bytes]:
    """The header for a record that is sent again."""
    return REKEYED, b"%d/%d" % (partition, record.offset)


def repeats(records: Sequence[Record], topic: int, newest: dict[str, int]) -> set[int]:
    """Which records have been sent again more than once, by position: a worker was killed before it had noted it.

    `newest` is brought up to date: of each topic and partition the newest offset that has come.
    """
    found: set[int] = set()
    for i, (partition, offset) in origins(records):
        source = f"{topic}/{partition}"
        if offset <= newest.get(source, -1):
            found.add(i)
        else:
            newest[source] = offset
    return found


def origins(records: Sequence[Record]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Position and origin of the records that were sent again."""
    for i, record in enumerate(records):
        if record.headers and (origin := origin_of(record)) is not None:
            yield i, origin


def client_of(record: Record) -> str:
    """Who has sent a record, where a header says so."""
    headers = dict(record.headers)
    named = next((headers[name] for name in CLIENT_HEADERS if headers.get(name)), b"")
    return bytes(named).decode(errors="replace")[:MOST_OF_NAME]
