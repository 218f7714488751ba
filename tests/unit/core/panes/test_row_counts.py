"""Rows by pane in blocks of an array: the same numbers as a plain count of each pane."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.core.panes.row_counts import LENGTH, RowCounts

PANES = st.integers(-3 * LENGTH, 3 * LENGTH)


@given(st.lists(st.tuples(PANES, st.integers(1, 5), st.booleans())), st.lists(st.tuples(PANES, PANES)))
def test_a_range_has_the_rows_of_each_pane(changes: list[tuple[int, int, bool]], ranges: list[tuple[int, int]]) -> None:
    counts, plain = RowCounts(), Counter[int]()
    for pane, n, gone in changes:
        more = -plain[pane] if gone else n
        counts.add(pane, more)
        plain[pane] += more
    for first, last in ranges:
        wanted = [plain[pane] for pane in range(first, last + 1)]
        assert counts.between(first, last).tolist() == wanted
        assert counts.sum(first, last) == sum(wanted)


def test_blocks_without_rows_are_gone() -> None:
    counts = RowCounts()
    for pane in range(0, 10 * LENGTH, 7):
        counts.add(pane, 2)
    for pane in range(0, 10 * LENGTH, 7):
        counts.add(pane, -2)
    assert counts._blocks == {}
