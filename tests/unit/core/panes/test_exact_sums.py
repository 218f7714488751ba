"""Exact sums against rational numbers."""

from __future__ import annotations

from fractions import Fraction
from sys import float_info

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.panes.exact_sums import SQUARE_LIMBS, SUM_LIMBS, UNIT, Terms, ratio, root, whole

DOUBLES = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(DOUBLES, st.integers(0, 2)), max_size=40), st.randoms())
def test_sums_are_exact_in_any_order_and_any_grouping(rows: list[tuple[float, int]], rng: object) -> None:
    rng.shuffle(rows)  # type: ignore[attr-defined]
    values, group = np.array([v for v, _ in rows]), np.array([g for _, g in rows], np.int64)
    for power in (1, 2):
        terms = Terms(values, squared=power == 2)
        sums = terms.sums(group, 3)
        assert sums.shape == (3, (SUM_LIMBS, SQUARE_LIMBS)[power - 1])
        for number in range(3):
            wanted = sum((Fraction(v) ** power for v, g in rows if g == number), Fraction(0))
            assert Fraction(whole(sums[number]), 1 << (UNIT * power)) == wanted
        of_one = values[group == 1]
        assert np.array_equal(Terms(of_one, squared=power == 2).sums(np.zeros(len(of_one), np.int64), 1)[0], sums[1])


def test_the_largest_and_the_smallest_add_up() -> None:
    values = np.array([float_info.max] * 3 + [5e-324] * 5 + [-float_info.max] * 3)
    assert whole(Terms(values).sums(np.zeros(11, np.int64), 1)[0]) == 5


def test_many_blocks_are_exact_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.core.panes.exact_sums._BLOCK", 7)
    values = np.random.default_rng(0).normal(size=100)
    found = whole(Terms(values, squared=True).sums(np.zeros(100, np.int64), 1)[0])
    assert Fraction(found, 1 << (2 * UNIT)) == sum(Fraction(v) ** 2 for v in values.tolist())


@given(st.integers(0, 1 << 4000), st.integers(1, 1 << 4000))
def test_roots_are_right_to_the_last_bit_or_the_one_before(a: int, b: int) -> None:
    found = root(a, b)
    if found in (0.0, float_info.max):
        assert a == 0 or Fraction(a, b) < Fraction(1, 1 << 2140) or Fraction(a, b) >= Fraction(float_info.max) ** 2
        return
    if found >= float_info.min:
        assert abs(Fraction(found) ** 2 / Fraction(a, b) - 1) < Fraction(1, 1 << 50)


def test_a_ratio_beyond_all_floats_is_the_largest_of_its_sign() -> None:
    assert (ratio(1 << 2000, 1), ratio(-(1 << 2000), 1), ratio(1, 3)) == (float_info.max, -float_info.max, 1 / 3)
