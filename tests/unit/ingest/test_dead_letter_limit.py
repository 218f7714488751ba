"""The bound on dead letters, against a plain recount, however the log is cut into runs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from app.ingest.dead_letter_limit import DeadLetterLimit
from app.ingest.decoding import Rejected


@dataclass
class Raw:
    offset: int
    timestamp: int = 0
    topic: str = "predictions"
    partition: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


def first_crossing(bad: list[bool], share: float, window: int) -> int | None:
    """The same, counted plainly: the first offset with which more than the share of the last `window` are bad."""
    for i in range(len(bad)):
        if bad[i] and sum(bad[max(0, i - window + 1) : i + 1]) > int(share * window + 1e-9):
            return i
    return None


@given(
    st.lists(st.booleans(), max_size=120),
    st.sampled_from([0.1, 0.25, 0.5, 0.9, 1.0]),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_it_is_crossed_where_a_recount_says_however_the_runs_are_cut(
    bad: list[bool], share: float, window: int, rng: random.Random
) -> None:
    limit, at, found = DeadLetterLimit(share, window), 0, None
    while at < len(bad) and found is None:
        end = min(len(bad), at + rng.randint(1, 15))
        rejected = [Rejected(Raw(i), "bad") for i in range(at, end) if bad[i]]
        crossed = limit.crossed(rejected, end)
        found = None if crossed is None else crossed.record.offset
        if found is None and rng.random() < 0.3:  # another worker, with what was saved
            limit = DeadLetterLimit(share, window, limit.recent)
        at = end
    assert found == first_crossing(bad, share, window)
    assert len(limit.recent) <= window


def test_what_is_read_again_counts_once() -> None:
    limit = DeadLetterLimit(0.5, 10)
    rejected = [Rejected(Raw(i), "bad") for i in range(5)]
    assert [limit.crossed(rejected, 5) for _ in range(3)] == [None] * 3
    assert limit.crossed([Rejected(Raw(9), "bad")], 10) is not None


def test_records_with_nothing_wrong_in_themselves_do_not_count() -> None:
    assert DeadLetterLimit(0.1, 10).crossed([Rejected(Raw(i), "late", True) for i in range(50)], 50) is None


def test_what_was_there_when_somebody_accepted_it_does_not_count_and_what_comes_later_does() -> None:
    limit = DeadLetterLimit(0.5, 10, [1, 2, 3, 4, 5], accepted_until=100)
    assert limit.crossed([Rejected(Raw(i, timestamp=100), "bad") for i in range(50)], 50) is None
    assert limit.crossed([Rejected(Raw(i, timestamp=101), "bad") for i in range(50, 55)], 55) is None
    crossed = limit.crossed([Rejected(Raw(55, timestamp=101), "bad")], 56)
    assert crossed is not None
    assert crossed.record.offset == 55
