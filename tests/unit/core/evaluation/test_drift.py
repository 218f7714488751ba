"""Statistics from panes against scipy on the raw rows."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from scipy.spatial.distance import jensenshannon

from app.core.evaluation.drift import Comparison, Strength, compare, compare_categorical, strengths
from app.core.evaluation.kolmogorov import ks_p_values
from app.core.panes.inputs import input_pane
from app.core.panes.pane import MAX_NAMES, OTHER, Pane, merge
from tests.support.columns import Floats, Values, layout_for, pane_of

EXACT = 1e-12

tied = st.integers(-3, 3).map(float)
any_float = st.one_of(tied, st.floats(allow_nan=True, allow_infinity=True, width=64))
samples = arrays.arrays(np.float64, st.integers(0, 60), elements=any_float)
categories = st.lists(st.sampled_from([*"abcdefgh", None]), max_size=60)
cuts = st.lists(st.integers(0, 60), max_size=4)


def compared(reference: Values, current: Values, at: list[int], limit: int = 10_000) -> tuple[Comparison, float | None]:
    """The comparison from the merged panes of the current rows, cut at the given places."""
    layout = layout_for({"x": reference}, limit=limit)
    edges = [0, *sorted(min(cut, len(current)) for cut in at), len(current)]
    panes = [pane_of(layout, {"x": current[a:b]}) for a, b in pairwise(edges)]
    comparison = compare(layout, merge(panes, layout.size, layout.sums))[0]
    return comparison, strengths([comparison])[0].p_value


def ks(reference: Floats, current: Floats) -> tuple[float, float] | None:
    reference, current = reference[~np.isnan(reference)], current[~np.isnan(current)]
    if not len(reference) or not len(current):
        return None
    with np.errstate(divide="ignore"):  # of one row on each side
        found = stats.ks_2samp(reference, current, method="asymp")
    return float(found.statistic), float(found.pvalue)


def js(reference: list[str | None], current: list[str | None]) -> float | None:
    before, now = (Counter(v for v in values if v is not None) for values in (reference, current))
    if not before or not now:
        return None
    names = sorted(before | now)
    return float(jensenshannon([before[n] for n in names], [now[n] for n in names], base=2))


@given(samples, samples, cuts)
def test_ks_and_p_value_equal_scipy_over_any_split(reference: Floats, current: Floats, at: list[int]) -> None:
    comparison, p = compared(reference, current, at)
    expected = ks(reference, current)
    if expected is None:
        assert comparison.statistic is None
        assert p is None
        return
    assert comparison.statistic == pytest.approx(expected[0], abs=EXACT)
    if np.isnan(expected[1]):
        assert p is None
    else:
        assert p == pytest.approx(expected[1], abs=EXACT)


@pytest.mark.parametrize("n", [30, 200, 700, 3000, 20_000])
@pytest.mark.parametrize("shift", [0.0, 0.03, 0.1, 0.3, 5.0])
def test_ks_and_p_value_equal_scipy_on_many_rows(n: int, shift: float) -> None:
    rng = np.random.default_rng(n)
    reference, current = rng.normal(size=3000), np.round(rng.normal(shift, size=n), 2)
    comparison, p = compared(reference, current, [n // 3])
    expected = ks(reference, current)
    assert expected is not None
    assert comparison.statistic == pytest.approx(expected[0], abs=EXACT)
    assert p == pytest.approx(expected[1], abs=EXACT)
    assert comparison.direction == ("higher" if shift > 0.2 else comparison.direction)


@pytest.mark.parametrize("n", [141, 255, 256, 400, 1500, 5000, 60_000])
def test_p_value_formula_equals_scipy_where_it_takes_fewer_terms(n: int) -> None:
    d = np.sqrt(np.array([2.2, 2.2000001, 3.0, 5.0, 9.0, 17.9, 18.1, 40.0]) / n)
    both = np.full(len(d), 2.0 * n)
    expected = stats.kstwo.sf(d, n)
    found = ks_p_values(d, both, both)
    assert np.abs(found - expected).max() < EXACT
    assert np.allclose(found, expected, rtol=1e-10, atol=0.0)


@given(st.lists(st.tuples(st.integers(1, 140), st.floats(0.0, 1.0), st.floats(0.0, 2.5)), min_size=1, max_size=20))
def test_p_values_of_few_rows_together_equal_scipy_one_by_one(rows: list[tuple[int, float, float]]) -> None:
    n = np.array([n for n, _, _ in rows], np.float64)
    anywhere, likely = (np.array(column) for column in ([d for _, d, _ in rows], [z for *_, z in rows]))
    for d in (anywhere, np.minimum(likely / np.sqrt(n), 1.0), np.round(anywhere * n) / n):  # also at the steps
        assert np.abs(ks_p_values(d, 2.0 * n, 2.0 * n) - stats.kstwo.sf(d, n)).max() < EXACT


@given(categories, categories, cuts)
def test_js_equals_scipy_over_the_union_of_categories(
    reference: list[str | None], current: list[str | None], at: list[int]
) -> None:
    comparison, p = compared(reference, current, at)
    expected = js(reference, current)
    if expected is None:
        assert comparison.statistic is None
        assert p is None
        return
    assert comparison.statistic == pytest.approx(expected, abs=EXACT)
    known = {v for v in reference if v is not None}
    assert comparison.unseen == sum(v is not None and v not in known for v in current)
    assert p is not None
    assert 0.0 <= p <= 1.0


def test_js_of_a_single_shared_category_is_zero_and_insignificant() -> None:
    comparison, p = compared(["a"] * 5, ["a"] * 9, [])
    assert (comparison.statistic, p, comparison.direction) == (0.0, 1.0, "")


def test_js_p_value_rejects_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    share = rng.dirichlet(np.full(8, 2.0))
    names = list("abcdefgh")
    rejected = 0
    for _ in range(400):
        reference, current = (rng.choice(names, size, p=share).tolist() for size in (2000, 800))
        _, p = compared(reference, current, [])
        assert p is not None
        rejected += p < 0.05
    assert 0.02 <= rejected / 400 <= 0.09


@given(arrays.arrays(np.float64, st.integers(5, 80), elements=tied | st.floats(-5, 5)), samples, st.integers(2, 20))
def test_thinning_stays_within_its_stated_bound(reference: Floats, current: Floats, limit: int) -> None:
    comparison, _ = compared(reference, current, [], limit)
    expected = ks(reference, current)
    if expected is None or comparison.statistic is None:
        assert expected is None
        assert comparison.statistic is None
        return
    assert abs(comparison.statistic - expected[0]) <= comparison.slots.column.error_bound + EXACT


def test_thinning_bound_is_small_where_it_matters() -> None:
    rng = np.random.default_rng(3)
    reference, current = rng.normal(size=40_000), rng.normal(0.1, size=5000)
    comparison, _ = compared(reference, current, [])
    expected = ks(reference, current)
    assert expected is not None
    assert comparison.statistic is not None
    assert 0.0 < comparison.slots.column.error_bound < 2e-4
    assert abs(comparison.statistic - expected[0]) <= comparison.slots.column.error_bound


def test_evidence_of_a_numeric_column() -> None:
    reference = np.array([1.0, 2.0, 2.0, 3.0, np.nan])
    current = np.array([0.0, 2.0, 2.5, 9.0, 9.0, np.inf, -np.inf, np.nan, np.nan])
    comparison, _ = compared(reference, current, [4])
    assert (comparison.n, comparison.missing, comparison.invalid) == (7, 2, 0)
    assert comparison.out_of_range == 5  # 0, 9, 9 and both infinities
    assert comparison.direction == "higher"
    assert comparison.reference == "median 2, mean 2"
    assert comparison.current == "median between 2 and 3"


def test_infinities_are_in_range_where_the_reference_has_them() -> None:
    comparison, _ = compared(np.array([-np.inf, 1.0, np.inf]), np.array([-np.inf, np.inf, 0.0]), [])
    assert comparison.out_of_range == 1


def test_evidence_of_a_categorical_column() -> None:
    comparison, _ = compared(["a", "a", "b", "c"], ["a", "z", "y", None], [])
    assert (comparison.n, comparison.missing, comparison.unseen) == (3, 1, 2)
    assert comparison.direction == "more (unseen)"
    assert comparison.reference == "a: 50.0%, b: 25.0%, c: 25.0%"
    assert comparison.current == "(unseen): 66.7%, a: 33.3%"


def named(reference: list[str | None], current: list[str | None]) -> Strength:
    """The strength of a window whose pane keeps the names of unseen categories."""
    layout = layout_for({"c": reference})
    return strengths(compare(layout, input_pane(layout, {"c": current}, ["no"] * len(current)))[:1])[0]


def test_each_unseen_category_is_one_of_its_own() -> None:
    """Values that never repeat are new in every draw of the rows; one new value in 8 % of the rows is drift."""
    rng = np.random.default_rng(1)
    known: list[str | None] = [f"c{i}" for i in rng.integers(0, 20, 900)]
    reference = [*known, *[f"once {i}" for i in range(100)]]
    current: list[str | None] = [f"c{i}" for i in rng.integers(0, 20, 450)]
    many = named(reference, [*current, *[f"new {i}" for i in range(40)]])
    more = named(reference, [*current, *[f"new {i}" for i in range(200)]])
    same = named(reference, [*current, *["new"] * 40])
    for strength, low, high in ((many, 0.05, 1.0), (more, 0.0, 0.01), (same, 0.0, 1e-5)):
        assert strength.p_value is not None
        assert low <= strength.p_value <= high
    assert many.effect_size is not None
    assert many.effect_size < 0.1
    assert same.effect_size is not None
    assert same.effect_size > 0.15


@given(st.dictionaries(st.sampled_from([*"abcdefgh", OTHER]), st.integers(-2, 9)), st.integers(0, 60))
def test_the_table_has_every_unseen_row_once(names: dict[str, int], rows: int) -> None:
    slots = layout_for({"c": ["x"] * 3}).slots[0]
    found = compare_categorical(slots, np.array([0, slots.unseen]), np.array([5, rows]), names)
    assert found.table is not None
    assert (found.table.window.sum(), found.table.reference.sum()) == (5 + rows, 3)
    assert len(found.table.window) == len(found.table.reference)
    if all(count > 0 for count in names.values()) and sum(names.values()) == rows:
        assert sorted(found.table.window[1:].tolist()) == sorted(names.values())


def test_unseen_rows_without_a_name_are_each_one_of_their_own() -> None:
    slots = layout_for({"c": ["x"] * 3}).slots[0]
    names = {f"n{i}": 2 for i in range(MAX_NAMES)} | {OTHER: 30}
    found = compare_categorical(slots, np.array([0, slots.unseen]), np.array([5, 2 * MAX_NAMES + 30]), names)
    assert found.table is not None
    assert found.table.window.tolist() == [5, *[2] * MAX_NAMES, *[1] * 30]


@pytest.mark.parametrize("reference", [np.array([]), np.array([np.nan]), []])
def test_an_empty_reference_gives_no_statistic(reference: Values) -> None:
    current: Values = np.array([1.0]) if isinstance(reference, np.ndarray) else ["a"]
    comparison, p = compared(reference, current, [])
    assert (comparison.statistic, p, comparison.reference) == (None, None, "no values")


columns = st.tuples(samples, categories)


@given(st.lists(columns, min_size=3, max_size=3))
def test_panes_are_a_commutative_monoid(rows: list[tuple[Floats, list[str | None]]]) -> None:
    layout = layout_for({"x": np.array([-1.0, 0.0, 2.0]), "c": ["a", "b"]})
    a, b, c = (pane_of(layout, {"x": x, "c": y}) for x, y in rows)

    def add(*panes: Pane) -> Pane:
        return merge(panes, layout.size, layout.sums)

    zero = Pane.empty(layout.sums)
    assert add(a, zero).same(a)
    assert add(a, b).same(add(b, a))
    assert add(add(a, b), c).same(add(a, add(b, c)))
    whole: dict[str, Values] = {"x": np.concatenate([x for x, _ in rows]), "c": [v for _, y in rows for v in y]}
    both = add(a, b, c)
    assert np.array_equal(both.dense(layout.size), pane_of(layout, whole).dense(layout.size))
