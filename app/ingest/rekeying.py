"""Records in another partition than the one that their key leads to, sent by a producer with another partitioner.

Such a record is sent again, once, to the partition where its id is joined. A header has the original position.
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
"""Header of a record that was sent again: partition and offset of the original, such as `3/1042`."""

CLIENT_HEADERS = ("client.id", "client_id", "client-id", "producer", "ce_source", "source")
"""Headers that may name a producer; the first one found is used. A record itself does not name its producer."""
MOST_OF_NAME = 80


def strays(records: Sequence[Record], partition: int, partitions: int) -> NDArray[np.bool_]:
    """Return which records of a partition have a key that leads to another one, as a mask.

    Records that were sent again are not among them.
    """
    keys = list(map(_key, records))
    if None in keys:
        keys = [key or b"" for key in keys]
    found: NDArray[np.bool_] = partitions_of(keys, partitions) != partition
    for i in np.flatnonzero(found).tolist():
        record = records[i]
        found[i] = record.key is not None and origin_of(record) is None
    return found


def origin_of(record: Record) -> tuple[int, int] | None:
    """Return partition and offset of the original of a record that was sent again; None for other records."""
    for name, value in record.headers:
        if name == REKEYED:
            partition, _, offset = bytes(value or b"").partition(b"/")
            return (int(partition), int(offset)) if partition.isdigit() and offset.isdigit() else None
    return None


def origin_header(partition: int, record: Record) -> tuple[str, bytes]:
    """Return the header for a record that is sent again."""
    return REKEYED, b"%d/%d" % (partition, record.offset)


def repeats(records: Sequence[Record], topic: int, newest: dict[str, int]) -> set[int]:
    """Return the positions of records that were sent again more than once.

    This happens where a worker was killed before it had saved its progress. `newest` is updated: the newest original
    offset by topic and partition.
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
    """Yield position and origin of the records that were sent again."""
    for i, record in enumerate(records):
        if record.headers and (origin := origin_of(record)) is not None:
            yield i, origin


def client_of(record: Record) -> str:
    """Return the producer of a record, where a header names it; else an empty text."""
    headers = dict(record.headers)
    named = next((headers[name] for name in CLIENT_HEADERS if headers.get(name)), b"")
    return bytes(named).decode(errors="replace")[:MOST_OF_NAME]
