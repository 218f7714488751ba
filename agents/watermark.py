"""How far a source partition has been applied, kept in the table that holds the state it was applied to."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence

from app.ingest.decoding import Record


def next_offset(table: MutableMapping[str, bytes], partition: int) -> int | None:
    """The offset to read next; None before anything was applied."""
    found = table.get(_key(partition))
    return None if found is None else int(found)


def advance(table: MutableMapping[str, bytes], partition: int, offset: int) -> None:
    """Note that all below an offset is applied. The watermark never falls."""
    known = next_offset(table, partition)
    if known is None or offset > known:
        table[_key(partition)] = b"%d" % offset


def unapplied(table: MutableMapping[str, bytes], partition: int, records: Sequence[Record]) -> list[Record]:
    """The records that are at or above the watermark."""
    known = next_offset(table, partition)
    return [record for record in records if known is None or record.offset >= known]


def _key(partition: int) -> str:
    return f"@{partition}"
