"""Applied offset of each source partition, kept in the table that has the state."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import MutableMapping, Sequence
from operator import attrgetter

from app.ingest.decoding import Record

_offset = attrgetter("offset")


def next_offset(table: MutableMapping[str, bytes], partition: int) -> int | None:
    """Return the offset to read next; None before anything was applied."""
    found = table.get(_key(partition))
    return None if found is None else int(found)


def advance(table: MutableMapping[str, bytes], partition: int, offset: int) -> None:
    """Note that all records below an offset are applied. The applied offset never falls."""
    known = next_offset(table, partition)
    if known is None or offset > known:
        table[_key(partition)] = b"%d" % offset


def unapplied(table: MutableMapping[str, bytes], partition: int, records: Sequence[Record]) -> Sequence[Record]:
    """Return the records at or above the applied offset."""
    return records_from(next_offset(table, partition) or 0, records)


def records_from(offset: int, records: Sequence[Record]) -> Sequence[Record]:
    """Return the records of a batch from an offset on. Offsets ascend."""
    if not records or records[0].offset >= offset:
        return records
    return records[bisect_left(records, offset, key=_offset) :]


def _key(partition: int) -> str:
    return f"@{partition}"
