"""A window's running sum is what adding up all of its panes comes to, however it moves."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.core.panes.pane import Pane, merge
from app.core.windows.running_sum import RunningSum

SIZE, SUMS = 7, 2
NAMES = st.dictionaries(st.sampled_from(["plan", ""]), st.dictionaries(st.text(max_size=2), st.integers(1, 3)))


@st.composite
def panes(draw: st.DrawFn) -> Pane:
    """A pane of a small layout."""
    dense = np.frombuffer(draw(st.binary(min_size=SIZE, max_size=SIZE)), np.uint8).astype(np.int64) % 6
    sums = np.array(draw(st.lists(st.integers(-(2**40), 2**40), min_size=SUMS, max_size=SUMS)), np.int64)
    return Pane.of(draw(st.integers(0, 9)), dense, sums, draw(NAMES))


CHANGES = st.dictionaries(st.integers(0, 12), st.integers(0, 7), max_size=13)
"""Which of eight panes is at which place now."""
MOVES = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6), CHANGES))


@given(st.lists(panes(), min_size=8, max_size=8), CHANGES, MOVES)
def test_it_is_the_sum_of_the_panes(
    made: list[Pane], first: dict[int, int], moves: list[tuple[int, int, dict[int, int]]]
) -> None:
    running = RunningSum(SIZE, SUMS)
    known = {place: made[number] for place, number in first.items()}
    for end, length, changed in moves:
        known |= {place: made[number] for place, number in changed.items()}
        window = {place: known[place] for place in range(end - length + 1, end + 1) if place in known}
        found = running.of(window)
        assert found.same(merge(window.values(), SIZE, SUMS))


def test_what_it_has_said_stays() -> None:
    running = RunningSum(SIZE, SUMS)
    one = Pane.of(1, np.ones(SIZE, np.int64), np.ones(SUMS, np.int64))
    first = running.of({0: one})
    running.of({0: one, 1: one})
    assert first.same(one)
