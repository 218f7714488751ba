"""The watermark of a source partition."""

from __future__ import annotations

from agents.applied_offsets import advance, next_offset, unapplied
from tests.support.reports import records_of


def test_it_only_ever_rises_and_each_partition_has_its_own() -> None:
    table = dict[str, bytes]()
    assert next_offset(table, 0) is None
    for offset in (5, 3, 12, 7):
        advance(table, 0, offset)
    assert (next_offset(table, 0), next_offset(table, 1)) == (12, None)


def test_what_is_below_it_is_applied() -> None:
    table = dict[str, bytes]()
    records = records_of([None, None, None], first=10)
    assert [r.offset for r in unapplied(table, 0, records)] == [10, 11, 12]
    advance(table, 0, 11)
    assert [r.offset for r in unapplied(table, 0, records)] == [11, 12]
