"""The permutation test of categories, against permuting."""

from __future__ import annotations

from itertools import product
from math import comb, prod

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from app.core.evaluation.permutation import PermutationResult, Table, permutation_tests

Counts = NDArray[np.int64]
PERMUTATIONS = 10_000
LEVELS = (0.5, 0.2, 0.05, 0.01, 0.003, 0.001)


def judge(window: Counts, reference: Counts) -> PermutationResult:
    return permutation_tests([Table(window, reference)])[0]


def shares(categories: int, law: str) -> NDArray[np.float64]:
    """Flat, Zipf, or all but the first rare."""
    rank = np.arange(1, categories + 1)
    weights = np.asarray(rank**-1.1 if law == "zipf" else np.ones(categories), np.float64)
    if law == "rare":
        weights[1:] = 0.001
    return weights / float(weights.sum())


def divergences(windows: Counts, totals: Counts, n: int) -> NDArray[np.float64]:
    """Squared Jensen-Shannon distances of windows (one a row), by scipy."""
    found = jensenshannon(windows.T / n, ((totals - windows) / (totals.sum() - n)).T, base=2)
    squared: NDArray[np.float64] = found**2
    return squared


def permuted(totals: Counts, n: int, rng: np.random.Generator, runs: int = PERMUTATIONS) -> Counts:
    """Windows of n rows, drawn without replacement from all rows."""
    drawn: Counts = rng.multivariate_hypergeometric(totals, n, size=runs, method="marginals")
    return drawn


CASES = [
    (2, "flat", 50, 1_000), (2, "zipf", 50_000, 1_000), (2, "rare", 500, 5_000), (3, "rare", 50, 1_000),
    (3, "zipf", 50, 5_000), (4, "zipf", 50, 50_000), (5, "flat", 50, 1_000), (5, "zipf", 500, 1_000),
    (8, "flat", 50, 50_000), (15, "zipf", 5_000, 5_000), (40, "flat", 500, 50_000), (40, "zipf", 50_000, 1_000),
    (200, "flat", 50, 1_000), (200, "flat", 500, 1_000), (200, "zipf", 5_000, 50_000), (1_000, "zipf", 500, 5_000),
    (1_000, "flat", 5_000, 1_000), (5_000, "zipf", 500, 1_000), (5_000, "flat", 50, 1_000),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("categories", "law", "n", "m"), CASES)
def test_p_values_are_those_of_ten_thousand_permutations(categories: int, law: str, n: int, m: int) -> None:
    rng = np.random.default_rng([categories, n, m])
    drawn = rng.multinomial(n, shares(categories, law)) + rng.multinomial(m, shares(categories, law))
    totals = drawn[drawn > 0]
    windows = permuted(totals, n, rng, 2_500 if categories >= 1_000 else PERMUTATIONS)
    values = divergences(windows, totals, n)
    order = np.argsort(-values, kind="stable")
    assert judge(windows[0], totals - windows[0]).mean == pytest.approx(values.mean(), abs=4.5 * _error(values))
    for level in LEVELS:
        window = windows[order[int(level * len(values))]]
        as_far = int((values >= divergences(window[None], totals, n) - 1e-12).sum())
        p, expected = judge(window, totals - window).p_value, (as_far + 1) / (len(values) + 1)
        # beside the factor of 2: what so many permutations leave open (three deviations)
        slack = 3.0 * np.sqrt(expected / len(values))
        assert expected / 2.0 - slack <= p <= 2.0 * expected + slack
        assert expected < 0.01 or expected / 1.4 <= p <= 1.4 * expected


def _error(values: NDArray[np.float64]) -> float:
    return float(values.std() / np.sqrt(len(values))) + 0.02 * float(values.std())


@pytest.mark.parametrize(
    ("window", "reference"),
    [
        ([3, 47], [1, 999]), ([0, 50], [1, 999]), ([30, 20], [400, 600]), ([2, 1, 47], [3, 5, 992]),
        ([9, 1, 2], [1, 1, 20]),
    ],
)  # fmt: skip
def test_few_tables_are_judged_exactly(window: list[int], reference: list[int]) -> None:
    n, totals = sum(window), np.add(window, reference)
    tables = np.array([a for a in product(*(range(min(t, n) + 1) for t in totals.tolist())) if sum(a) == n])
    chances = [prod(map(comb, totals.tolist(), a)) for a in tables.tolist()]
    own = divergences(np.array([window]), totals, n)
    values = divergences(tables, totals, n)
    as_far = sum(c for c, value in zip(chances, values.tolist(), strict=True) if value >= own - 1e-12)
    found = judge(np.array(window), np.array(reference))
    assert found.p_value == pytest.approx(as_far / sum(chances), rel=1e-6)
    assert found.mean == pytest.approx(np.average(values, weights=chances), rel=1e-6)
    assert found.divergence == pytest.approx(own[0], abs=1e-12)


counts = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=80)


@given(counts, st.randoms(use_true_random=False))
def test_neither_order_nor_categories_without_rows_matter(pairs: list[tuple[int, int]], random: object) -> None:
    window, reference = np.array(pairs).T
    assume(window.sum() and reference.sum())
    found = judge(window, reference)
    assert 0.0 <= found.p_value <= 1.0
    assert 0.0 <= found.mean <= 1.0
    shuffled = [*pairs, (0, 0), (0, 0)]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = judge(*np.array(shuffled).T)
    assert again.p_value == pytest.approx(found.p_value, rel=1e-6, abs=1e-9)
    assert again.mean == pytest.approx(found.mean, rel=1e-6, abs=1e-12)
    assert again.divergence == pytest.approx(found.divergence, abs=1e-12)


@given(st.lists(st.integers(1, 200), min_size=2, max_size=60), st.integers(1, 99), st.integers(0, 2**32 - 1))
def test_of_two_windows_with_the_same_totals_the_further_one_has_no_larger_p(
    totals: list[int], share: int, seed: int
) -> None:
    rows = np.array(totals)
    n = max(1, int(rows.sum()) * share // 100)
    assume(n < rows.sum())
    one, other = (judge(a, rows - a) for a in permuted(rows, n, np.random.default_rng(seed), 2))
    if one.divergence > other.divergence:
        one, other = other, one
    assert other.p_value <= one.p_value + 1e-9
    assert one.mean == pytest.approx(other.mean, rel=1e-6, abs=1e-12)


def test_the_same_shares_are_no_drift_and_others_are() -> None:
    for categories in (2, 12, 500):
        window = 1 + np.arange(categories) % 7
        same, moved = judge(window, 3 * window), judge(window, 3 * window[::-1])
        assert same.p_value == pytest.approx(1.0, abs=1e-3)
        assert same.divergence == pytest.approx(0.0, abs=1e-12)
        assert moved.p_value <= same.p_value


def test_values_that_never_repeat_say_nothing() -> None:
    """Ids: whatever rows are drawn, the divergence is 1 bit."""
    ids, none = np.ones(500, np.int64), np.zeros(500, np.int64)
    found = judge(np.concatenate([ids, none]), np.concatenate([none, ids]))
    assert found.p_value == 1.0
    assert found.divergence == pytest.approx(1.0)
    assert found.mean == pytest.approx(1.0)
    few = judge(np.array([*ids, *none, 2, 1, 0]), np.array([*none, *ids, 0, 1, 2]))
    assert 0.2 < few.p_value <= 1.0


@pytest.mark.parametrize(("categories", "law", "n", "m"), [(200, "flat", 500, 1_000), (1_000, "zipf", 500, 5_000)])
def test_calm_windows_are_significant_as_often_as_stated(categories: int, law: str, n: int, m: int) -> None:
    rng = np.random.default_rng(11)
    w = shares(categories, law)
    tables = [Table(rng.multinomial(n, w), rng.multinomial(m, w)) for _ in range(500)]
    p = np.array([found.p_value for found in permutation_tests(tables)])
    assert 0.02 <= (p < 0.05).mean() <= 0.08
    assert (p < 0.005).mean() <= 0.02
    assert 0.4 <= (p < 0.5).mean() <= 0.6


@pytest.mark.parametrize("law", ["flat", "zipf"])
def test_a_shift_of_20_points_in_the_largest_of_a_thousand_categories_is_found(law: str) -> None:
    rng = np.random.default_rng(12)
    w = shares(1_000, law)
    moved = w * (0.8 - w[0]) / (1.0 - w[0])
    moved[0] = w[0] + 0.2
    found = permutation_tests([Table(rng.multinomial(500, moved), rng.multinomial(5_000, w)) for _ in range(300)])
    assert sum(one.p_value < 0.05 and one.divergence - one.mean > 0.1**2 for one in found) >= 270
