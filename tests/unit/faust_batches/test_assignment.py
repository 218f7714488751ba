"""Which worker has which partitions: all of them once, balanced, and none moved that need not move."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from app.faust_batches.assignment import share

PARTITIONS = 12


@st.composite
def held(draw: st.DrawFn) -> dict[str, set[int]]:
    """What up to five members have: of some partitions nobody has one, and none has two owners."""
    members = [f"m{i}" for i in range(draw(st.integers(1, 5)))]
    owners = draw(st.lists(st.sampled_from([*members, None]), min_size=PARTITIONS, max_size=PARTITIONS))
    return {member: {p for p, owner in enumerate(owners) if owner == member} for member in members}


def most_kept(had: dict[str, set[int]]) -> int:
    """The most that can stay, by trying out who may have one more than the others."""
    least, more = divmod(PARTITIONS, len(had))
    return max(
        sum(min(len(of), least + (member in lucky)) for member, of in had.items())
        for lucky in combinations(had, more)
    )  # fmt: skip


@given(held())
def test_as_many_stay_as_can(had: dict[str, set[int]]) -> None:
    shares = share(had, PARTITIONS)
    assert shares.keys() == had.keys()
    assert sorted(p for of in shares.values() for p in of) == list(range(PARTITIONS))
    sizes = [len(of) for of in shares.values()]
    assert max(sizes) - min(sizes) <= 1
    assert sum(len(shares[member] & of) for member, of in had.items()) == most_kept(had)
    assert share(dict(reversed(had.items())), PARTITIONS) == shares
    assert share(shares, PARTITIONS) == shares


@given(st.dictionaries(st.sampled_from("abcde"), st.sets(st.integers(-1, PARTITIONS + 3)), min_size=1))
def test_whatever_members_say_that_they_have(had: dict[str, set[int]]) -> None:
    shares = share(had, PARTITIONS)
    assert sorted(p for of in shares.values() for p in of) == list(range(PARTITIONS))
    sizes = [len(of) for of in shares.values()]
    assert max(sizes) - min(sizes) <= 1


def test_one_partition_moves_to_a_third_worker() -> None:
    assert share({"a": [0, 1], "b": [2, 3], "c": []}, 4) == {"a": {0, 1}, "b": {2}, "c": {3}}
