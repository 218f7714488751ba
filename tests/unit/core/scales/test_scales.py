"""The newest panes judged at every scale: against scipy, against plain recounts, and over streams."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import binom, ks_2samp

from app.core.config.monitoring import DecisionSettings, DriftThresholds, Monitoring, Windows
from app.core.evaluation.results import PaneFinding, PaneScales
from app.core.panes.pane import Pane, merge
from app.core.reference.layout import Layout
from app.core.scales.categories import at_distance, binomial_tail, two_cells
from app.core.scales.judging import judge_scales
from app.core.scales.levels import levels_of, metric_level, per_second, traffic_level
from app.core.scales.numbers import ks_statistics
from app.core.scales.suffixes import spans_of, suffixes_of
from tests.support.columns import Floats, Values, layout_for, pane_of

DEFAULT = Monitoring()
END = 1000
REFERENCE = np.random.default_rng(0).normal(size=3000)
COLOURS = ["red"] * 1500 + ["green"] * 1200 + ["blue"] * 300


def judged(layout: Layout, panes: dict[int, Pane], monitoring: Monitoring = DEFAULT, end: int = END) -> PaneScales:
    found = judge_scales(layout, panes, end, monitoring)
    assert found is not None
    return found


def of_distribution(scales: PaneScales, name: str, fault: str = "distribution") -> PaneFinding | None:
    return next((one for one in scales.found if one.name == name and one.fault == fault), None)


def test_spans_are_powers_of_two_with_the_window_and_the_longest_among_them() -> None:
    assert spans_of(60) == (1, 2, 4, 8, 16, 32, 60)
    assert spans_of(1) == (1,)
    assert spans_of(4) == (1, 2, 4)
    assert spans_of(3, 9) == (1, 2, 3, 4, 8, 9)


@pytest.mark.parametrize(
    "text", ["", "1", "0 per month", "1 per fortnight", "-1 per day", "1 per month ", "one per day"]
)
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match='"off" or a rate such as "1 per month"'):
        per_second(text)


def test_the_levels_of_all_tests_add_up_to_the_stated_rate() -> None:
    monitoring = Monitoring(decision=DecisionSettings("2 per month"), windows=Windows(pane=60.0))
    levels = levels_of(monitoring, 7, 17)
    assert levels is not None
    assert levels.evaluation * 30 * 24 * 60 == pytest.approx(2.0)
    of_columns, of_metrics = 7 * 17 * (levels.distribution + 3 * levels.share), 7 * 8 * metric_level(monitoring, 7, 8)
    of_traffic = 7 * traffic_level(monitoring, 7)
    assert of_columns + of_metrics + of_traffic == pytest.approx(levels.evaluation)
    rare = levels_of(replace(monitoring, windows=Windows(pane=86_400.0)), 7, 17)
    assert rare is not None
    assert rare.evaluation == 1e-4  # a month has thirty evaluations, and each is to be trusted
    assert levels_of(replace(monitoring, decision=DecisionSettings("off")), 7, 17) is None
    assert levels_of(replace(monitoring, drift=DriftThresholds(policy="threshold")), 7, 17) is None


NUMBERS = st.lists(st.floats(-3, 3) | st.sampled_from([np.inf, -np.inf, np.nan, 0.0]), max_size=12)


@given(st.dictionaries(st.integers(END - 6, END), NUMBERS, max_size=6))
def test_the_statistic_of_every_span_is_scipys(drawn: dict[int, list[float]]) -> None:
    reference = np.array([-1.0, 0.0, 0.0, 1.0, 2.5, np.inf])
    layout = layout_for({"a": ["x"], "n": reference})
    panes = {
        pane: pane_of(layout, {"a": ["x"] * len(rows), "n": np.array(rows, np.float64)}) for pane, rows in drawn.items()
    }
    suffixes = suffixes_of(panes, END, spans_of(5), layout.size)
    statistic, n = ks_statistics(layout, [1], suffixes)
    for row, span in enumerate(suffixes.spans):
        rows = [value for pane, values in drawn.items() if END - span < pane <= END for value in values]
        known = np.array([value for value in rows if not np.isnan(value)])
        assert suffixes.n[row] == len(rows)
        assert n[row, 0] == len(known)
        expected = ks_2samp(known, reference, method="asymp").statistic if len(known) else 0.0
        assert statistic[row, 0] == pytest.approx(expected, abs=1e-12)


SHARES = st.integers(0, 10**12).map(lambda count: count / 10**12)
"""Shares as they come about: of counts. Of the smallest doubles scipy's distance is infinite, and so is ours."""


@given(SHARES, SHARES)
def test_two_cells_are_scipys_distance_and_a_share_is_found_at_a_distance(p: float, q: float) -> None:
    divergence = float(two_cells(np.array([p]), np.array([q]))[0])
    assert np.sqrt(max(divergence, 0.0)) == pytest.approx(
        jensenshannon([p, 1 - p], [q, 1 - q], base=2) or 0.0, abs=1e-7
    )
    if divergence > 0.1**2:
        share = float(at_distance(np.array([p]), np.array([q]), 0.05)[0])
        assert min(p, q) <= share <= max(p, q)
        assert jensenshannon([share, 1 - share], [q, 1 - q], base=2) == pytest.approx(0.05, abs=0.02)


@given(st.integers(1, 300), st.floats(0.0, 1.0), st.floats(0.01, 0.99))
def test_the_tail_is_that_of_the_binomial_law(n: int, of_n: float, expected: float) -> None:
    count = round(of_n * n)
    found = float(binomial_tail(np.array([count / n]), np.array([float(n)]), np.array([expected]))[0])
    upper, lower = binom.sf(count - 1, n, expected), binom.cdf(count, n, expected)
    assert found == pytest.approx(upper if count / n >= expected else lower, rel=1e-6, abs=1e-200)


def stream(layout: Layout, columns: list[dict[str, Values]], end: int = END) -> dict[int, Pane]:
    """Panes of these rows, the last is the newest."""
    return {end - len(columns) + 1 + i: pane_of(layout, dict(rows)) for i, rows in enumerate(columns)}


def normal(rng: np.random.Generator, n: int, moved: float = 0.0) -> dict[str, Values]:
    colour = rng.choice(["red", "green", "blue"], size=n, p=[0.5, 0.4, 0.1]).tolist()
    return {"x": rng.normal(moved, 1.0, n), "colour": colour}


def test_a_large_shift_is_found_in_its_own_panes_with_the_time_it_began() -> None:
    rng, layout = np.random.default_rng(1), layout_for({"x": REFERENCE, "colour": COLOURS})
    rows = [normal(rng, 50) for _ in range(57)] + [normal(rng, 50, 2.0) for _ in range(3)]
    scales = judged(layout, stream(layout, rows))
    found = of_distribution(scales, "x")
    assert found is not None
    assert found.since_panes == 3
    assert found.latest_panes <= 3 <= found.earliest_panes
    assert (found.panes, found.shortest) == (4, 1)
    assert found.n == 200
    newest = np.concatenate([np.asarray(row["x"], np.float64) for row in rows[-4:]])
    expected = ks_2samp(newest, REFERENCE, method="asymp").statistic
    assert found.effect_size == pytest.approx(expected, abs=1e-12)
    assert found.column is not None
    assert (found.column.name, found.column.drifted, found.column.direction) == ("x", True, "higher")
    assert found.column.statistic == pytest.approx(expected, abs=1e-12)
    assert [one.name for one in scales.found] == ["x"]
    assert scales.data_drift is not None  # one of two features is more than 30 %
    assert scales.data_drift.drifted_features == ("x",)


def test_what_is_over_is_calm_though_the_window_still_holds_it() -> None:
    rng, layout = np.random.default_rng(2), layout_for({"x": REFERENCE, "colour": COLOURS})
    bad, good = [normal(rng, 100, 1.5) for _ in range(30)], [normal(rng, 100) for _ in range(30)]
    scales = judged(layout, stream(layout, bad + good))
    assert of_distribution(scales, "x") is None
    assert scales.calm["distribution"]["x"] <= 16
    assert scales.data_calm
    assert of_distribution(judged(layout, stream(layout, good + bad)), "x") is not None


def test_missing_unseen_and_mistyped_values_are_found_in_a_pane() -> None:
    rng, layout = np.random.default_rng(3), layout_for({"x": REFERENCE, "colour": COLOURS})
    calm = [normal(rng, 40) for _ in range(59)]
    nulls = judged(layout, stream(layout, [*calm, {"x": np.full(40, np.nan), "colour": [None] * 40}]))
    assert {(one.name, one.fault) for one in nulls.found} == {("x", "missing"), ("colour", "missing")}
    assert {one.since_panes for one in nulls.found} == {1}
    assert nulls.found[0].effect_size == 1.0
    pink = [*("pink" for _ in range(20)), *(["red"] * 20)]
    new = judged(layout, stream(layout, [*calm, {**normal(rng, 40), "colour": pink}]))
    assert ("colour", "unseen") in {(one.name, one.fault) for one in new.found}
    quiet = judged(layout, stream(layout, [*calm, normal(rng, 40)]))
    assert quiet.found == ()


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_nothing_is_found_where_nothing_or_little_has_changed(share: float) -> None:
    """A mean moved by 0.12 deviations is D 0.05, half of the floor: harmless, at any number of rows."""
    rng, layout = np.random.default_rng(4), layout_for({"x": REFERENCE, "colour": COLOURS})
    moved = 0.12 if share else 0.0
    panes: dict[int, Pane] = {}
    for end in range(150):
        rows = normal(rng, 300, moved)
        rows["colour"] = [
            "green" if u < share else c for u, c in zip(rng.random(300), list(rows["colour"]), strict=True)
        ]
        panes[end] = pane_of(layout, rows)
        panes.pop(end - 60, None)
        assert judged(layout, panes, end=end).found == ()


def test_few_rows_are_enough_for_a_large_change() -> None:
    rng, layout = np.random.default_rng(5), layout_for({"x": REFERENCE, "colour": COLOURS})
    scales = judged(layout, stream(layout, [normal(rng, 12, 100.0)]))
    found = of_distribution(scales, "x")
    assert found is not None
    assert found.n == 12
    assert of_distribution(judged(layout, stream(layout, [normal(rng, 3, 100.0)])), "x") is None


def test_the_order_in_which_panes_came_is_no_matter() -> None:
    rng, layout = np.random.default_rng(6), layout_for({"x": REFERENCE, "colour": COLOURS})
    panes = stream(layout, [normal(rng, 30, 0.0 if i < 50 else 1.0) for i in range(70)])
    shuffled = {pane: panes[pane] for pane in rng.permutation(list(panes)).tolist()}
    assert judged(layout, panes) == judged(layout, shuffled)
    window = {pane: one for pane, one in panes.items() if pane > END - 60}
    assert judged(layout, panes) == judged(layout, window)
    whole = judge_scales(layout, {0: merge(window.values(), layout.size, layout.sums)}, 0, DEFAULT, only=(1,))
    assert whole is not None
    assert whole.spans == (1,)


def test_a_side_without_values_is_neither_found_nor_calm() -> None:
    empty: Floats = np.full(30, np.nan)
    layout = layout_for({"x": empty, "colour": [None] * 30, "y": REFERENCE})
    rows: list[dict[str, Values]] = [{"x": REFERENCE[:40], "colour": ["red"] * 40, "y": np.full(40, np.nan)}]
    scales = judged(layout, stream(layout, rows))
    assert {one.name for one in scales.found if one.fault == "distribution"} == set()
    assert {"x", "colour", "y"}.isdisjoint(scales.calm.get("distribution", {}))
    assert judged(layout, {}).found == ()
