"""What is found beyond a margin: at the shared level against no difference, and at its own level at the margin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import binom, kstwobign

from app.core.config.monitoring import DecisionSettings, DriftThresholds, Monitoring, Windows
from app.core.evaluation import tested as tests_of_columns
from app.core.scales.categories import category_tests
from app.core.scales.levels import Levels, levels_of
from app.core.scales.numbers import detectable, ks_tested
from app.core.scales.shares import share_tests
from app.core.scales.suffixes import suffixes_of
from tests.support.columns import layout_for, pane_of

FLOOR, MARGIN = 0.1, 0.05
REFERENCE = 5_000
NOTHING = np.zeros((1, 1))


@pytest.mark.parametrize(
    ("rate", "pane", "expected"), [("1 per month", 60.0, 1e-4), ("1 per year", 60.0, 5 * 60 / (365 * 86_400))]
)
def test_a_column_at_the_margin_has_a_chance_that_the_scales_share(rate: str, pane: float, expected: float) -> None:
    monitoring = Monitoring(decision=DecisionSettings(rate), windows=Windows(pane=pane))
    few, many = levels_of(monitoring, 7, 17), levels_of(monitoring, 7, 102)
    assert few is not None
    assert many is not None
    assert 7 * few.harmless == pytest.approx(expected)
    assert many.harmless == few.harmless
    assert many.distribution == pytest.approx(few.distribution / 6)


@given(st.floats(0.0, 1.0), st.integers(1, 3_000), st.floats(1e-9, 1e-2), st.floats(1e-9, 1e-2))
def test_numbers_are_found_where_both_of_scipys_p_values_are_small(d: float, n: int, alike: float, at: float) -> None:
    tested = ks_tested(
        np.array([[d]]), np.array([[float(n)]]), np.array([float(REFERENCE)]), FLOOR, Levels(1.0, alike, 0.0, at),
        NOTHING,
    )  # fmt: skip
    root = np.sqrt(n * REFERENCE / (n + REFERENCE))
    scaled = root + 0.12 + 0.11 / root  # Stephens 1970
    both = kstwobign.sf(scaled * d) < alike and kstwobign.sf(scaled * max(d - MARGIN, 0.0)) < at
    assert bool(tested.found[0, 0]) == (d >= FLOOR and both)
    least = detectable(n, REFERENCE, DriftThresholds(), Levels(1.0, alike, 0.0, at))
    if least is not None and abs(d - least) > 1e-9:
        assert bool(tested.found[0, 0]) == (d > least)


def test_numbers_at_the_margin_are_found_no_more_often_than_is_stated() -> None:
    """A share of the rows from below the median comes from above it, so that the true distance is the margin."""
    rng, times, n, level = np.random.default_rng(3), 500, 400, 0.05
    reference = np.sort(rng.random((times, REFERENCE)), axis=1)
    now = rng.random((times, n))
    now = np.where((now < 0.5) & (rng.random((times, n)) < 2 * MARGIN), now + 0.5, now)
    each = [
        np.abs(np.searchsorted(before, grid, "right") / REFERENCE - np.searchsorted(after, grid, "right") / n).max()
        for before, after in zip(reference, np.sort(now, axis=1), strict=True)
        for grid in [np.concatenate([before, after])]
    ]
    d = np.array(each)[:, None]
    tested = ks_tested(
        d, np.full(d.shape, float(n)), np.array([float(REFERENCE)]), FLOOR, Levels(1.0, 0.9, 0.0, level),
        np.zeros(d.shape),
    )  # fmt: skip
    assert 0.0 < (tested.p_value < level).mean() <= level


def test_a_category_at_the_margin_is_found_no_more_often_than_is_stated() -> None:
    """Shares of the reference are known, its rows many, so that the rows of the panes are all that chance is in."""
    rng, n, level = np.random.default_rng(4), 120, 0.05
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    names = [str(i) for i in range(4)]
    layout = layout_for({"c": np.repeat(names, (shares * 40_000).astype(int)).tolist()})
    more = np.linspace(0.01, 0.2, 2_001)
    moved = np.array([shares + np.array([-1, -1, 3, -1]) * part / 3 for part in more])
    moved = moved / moved.sum(axis=1)[:, None]
    distance = np.array([jensenshannon(one, shares, base=2) for one in moved])
    true = moved[np.searchsorted(distance, MARGIN) - 1]
    levels = Levels(1.0, 0.9, 0.0, level)
    times = 1_000
    found = 0
    for _ in range(times):
        rows = rng.choice(names, size=n, p=true).tolist()
        suffixes = suffixes_of({0: pane_of(layout, {"c": rows})}, 0, (1,), layout.size)
        tested = category_tests(layout, [0], suffixes, FLOOR, levels, NOTHING)
        found += bool(tested.found[0, 0])
    assert found / times <= level + 2 * np.sqrt(level / times)
    assert found > level * times / 20, "the level is not given away"


def test_columns_of_categories_are_tested_together_as_each_by_itself() -> None:
    """Bit by bit: columns of few and of many categories, scales without rows, and the usual distance of each."""
    rng, spans = np.random.default_rng(6), (1, 2, 4)
    kinds = {"two": 2, "many": 40, "one": 1, "some": 7}
    layout = layout_for({name: [str(c) for c in rng.integers(0, k, 900)] for name, k in kinds.items()})
    levels, places = Levels(1.0, 0.5, 0.0, 0.4), [2, 0, 3, 1]
    fields, differ = tests_of_columns.Tested.__slots__, set[bool]()
    for last in (0, 9, 120):
        panes = {
            pane: pane_of(layout, {c: [str(v) for v in rng.integers(0, k + 1, n) ** 2 // k] for c, k in kinds.items()})
            for pane, n in enumerate((300, 0, 40, last))
        }
        suffixes, usual = suffixes_of(panes, 3, spans, layout.size), rng.random((len(spans), 4)) * 0.2
        together = category_tests(layout, places, suffixes, FLOOR, levels, usual)
        alone = [category_tests(layout, [at], suffixes, FLOOR, levels, usual[:, [i]]) for i, at in enumerate(places)]
        for name in fields:
            wanted = np.concatenate([getattr(one, name) for one in alone], axis=1)
            assert getattr(together, name).tobytes() == wanted.tobytes(), name
        differ |= set(together.found.ravel().tolist())
        none = category_tests(layout, [], suffixes, FLOOR, levels, usual[:, :0])
        assert {getattr(none, name).shape for name in fields} == {(3, 0)}
    assert differ == {True, False}


@given(st.integers(1, 400), st.floats(0.0, 1.0), st.floats(0.0, 0.3), st.floats(1e-9, 1e-2), st.floats(1e-9, 1e-2))
def test_shares_are_found_where_both_binomial_tails_are_small(
    n: int, part: float, expected: float, alike: float, at: float
) -> None:
    many = 10**12  # so many rows of the reference that n alone counts
    count = round(part * n)
    tested = share_tests(
        np.array([[float(count)]]), np.array([[float(n)]]), np.array([expected]), np.array([float(many)]), FLOOR,
        Levels(1.0, 0.0, alike, at), NOTHING,
    )  # fmt: skip
    rise = count / n - expected
    tails = binom.sf(count - 1, n, expected), binom.sf(count - 1, n, min(expected + MARGIN, 1.0))
    if all(abs(tail / level - 1.0) > 1e-3 for tail, level in zip(tails, (alike, at), strict=True)):
        assert bool(tested.found[0, 0]) == (rise > FLOOR and tails[0] < alike and tails[1] < at)
