"""A column's picture in a few points, against the raw rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from app.core.evaluation.distribution import REST, TOP
from app.core.evaluation.drift import Comparison, compare
from app.core.evaluation.summary import UNSEEN
from tests.support.columns import Values, layout_for, pane_of
from topics.results import Shape

numbers = st.lists(st.integers(-6, 6).map(lambda v: v / 2) | st.floats(-1e300, 1e300), min_size=1, max_size=60)
names = st.lists(st.sampled_from("abcdefghijklmnop") | st.none(), min_size=1, max_size=80)


def compared(reference: Values, current: Values, limit: int = 10_000) -> Comparison:
    layout = layout_for({"x": reference}, limit=limit)
    return compare(layout, pane_of(layout, {"x": current}))[0]


def shape_of(reference: Values, current: Values) -> Shape:
    shape = compared(reference, current).shape
    assert shape is not None
    return shape


@given(numbers, numbers)
def test_every_point_is_exact_and_the_largest_gap_is_the_ks_statistic(before: list[float], now: list[float]) -> None:
    reference, current = np.array(before) + 0.0, np.array(now) + 0.0
    shape = shape_of(reference, current)
    at = np.array(shape.at, np.float64)
    assert (np.diff(at) > 0).all()
    assert len(at) <= 24
    # at or below every point, counted on the raw rows
    np.testing.assert_allclose(shape.reference, (reference[:, None] <= at).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(shape.current, (current[:, None] <= at).mean(axis=0), atol=1e-12)
    gap = np.abs(np.array(shape.reference) - np.array(shape.current)).max()
    with np.errstate(all="ignore"):  # of p-values, which are not asked for
        statistic = ks_2samp(reference, current, method="asymp").statistic
    assert gap == pytest.approx(statistic, abs=1e-12)


def test_quantiles_of_both_sides_are_shown() -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.normal(size=5000), rng.normal(0.5, 1.5, 3000)
    shape = shape_of(reference, current)
    assert (shape.at[0], shape.at[-1]) == (reference.min(), reference.max())
    for shares in (shape.reference, shape.current):
        assert np.diff(shares).max() < 0.12
    assert 20 <= len(shape.at) <= 24


def test_a_thinned_reference_shows_what_the_report_says() -> None:
    rng = np.random.default_rng(1)
    found = compared(rng.normal(size=5000), rng.normal(0.3, 1.0, 3000), limit=100)
    assert found.shape is not None
    gap = np.abs(np.array(found.shape.reference) - np.array(found.shape.current)).max()
    assert gap == found.statistic


def test_infinities_and_missing_values_have_no_place_in_the_picture() -> None:
    shape = shape_of(np.array([1.0, 2.0, np.inf]), np.array([-np.inf, 1.5, 9.0, np.nan]))
    assert np.isfinite(np.array(shape.at, np.float64)).all()
    assert shape.at[-1] == 2.0
    assert shape.reference[-1] == pytest.approx(2 / 3)
    assert shape.current[-1] == pytest.approx(2 / 3)


@given(names, names)
def test_categories_are_the_largest_by_either_side_and_the_rest(
    before: list[str | None], now: list[str | None]
) -> None:
    shape = compared(before, now).shape
    tables = [pd.Series(side, dtype=object).value_counts(normalize=True) for side in (before, now)]
    if tables[0].empty or tables[1].empty:
        assert shape is None
        return
    assert shape is not None
    known = [UNSEEN if name not in tables[0].index else name for name in tables[1].index]
    current = tables[1].groupby(known).sum()
    both = pd.DataFrame({"reference": tables[0], "current": current}).fillna(0.0)
    told = [name for name in shape.at if name != REST]
    assert len(told) == min(TOP, len(both))
    rest = both.drop(index=told).sum()
    both.loc[REST] = rest
    np.testing.assert_allclose(both.loc[list(shape.at), "reference"], shape.reference, atol=1e-12)
    np.testing.assert_allclose(both.loc[list(shape.at), "current"], shape.current, atol=1e-12)
    assert sum(shape.reference) == pytest.approx(1.0)
    assert sum(shape.current) == pytest.approx(1.0)
    largest = both.drop(index=REST).max(axis=1)
    if len(largest) > TOP:
        assert largest[told].min() >= largest.drop(index=told).max() - 1e-12


@pytest.mark.parametrize(
    ("reference", "current"),
    [(np.array([1.0]), np.array([np.nan])), (np.array([np.nan]), np.array([1.0])), (["a"], [None]), ([None], ["a"])],
)
def test_nothing_to_compare_has_no_shape(reference: Values, current: Values) -> None:
    assert compared(reference, current).shape is None
