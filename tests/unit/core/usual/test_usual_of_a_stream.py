"""A stream of nights, storms and seasons against its reference: what is usual is silent, faults are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.alerting.rules.lifecycle import RuleState, step
from app.alerting.rules.verdict import Verdict
from app.core.config.monitoring import Rule
from app.core.panes.pane import merge
from app.core.panes.slices import Slice
from app.core.reference.profile import Profile
from app.core.scales import blocks
from app.core.scales.blocks import Blocks
from app.offline.decision import decide
from app.registration.profiling import read_reference
from tests.support.columns import layout_for, pane_of
from tests.support.usual_world import DAY, FAULTS, FILE, START, names_of, stream, world


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return stream(1, 30)


@pytest.fixture(scope="module")
def profile(reference: pd.DataFrame) -> Profile:
    return read_reference("m", "1", reference, FILE).profile


@pytest.mark.slow
def test_calm_days_with_nights_and_storms_are_silent_and_a_season_is_slow(profile: Profile) -> None:
    found = world(profile).fill(stream(2, 21, first=30), every=16)
    assert len(found) > 90
    judged = [one for one in found.values() if one.drift is not None and one.drift.sufficient]
    assert len(judged) > 0.9 * len(found)
    assert set(names_of(found)) <= {"warmth"}
    assert set(names_of(found, slow=False)) == set()
    seasons = [f for one in found.values() if one.drift and one.drift.scales for f in one.drift.scales.found]
    assert seasons  # 51 days at a quarter of a degree are beyond what 30 days show
    moved = [f.moved for f in seasons if f.moved is not None]
    rates = [f.rate for f in seasons if f.rate is not None]
    assert min(moved) > 0
    spread = float(np.std(stream(1, 30)["warmth"]))
    assert np.median(rates) == pytest.approx(0.25 / spread, rel=0.5)
    alone = world(replace(profile, usual=None)).fill(stream(2, 3, first=30), every=16)
    assert {"hour", "warmth"} <= set(names_of(alone))  # the rule for independent rows


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_unit_is_found_within_hours(profile: Profile, name: str) -> None:
    spoil, hours = FAULTS[name]
    frame = stream(3, 4, first=30)
    change = START + 32 * DAY + 9 * 3600
    frame[name] = frame[name].where(frame["timestamp"] < change, spoil(frame[name]))
    one = world(profile)
    before = frame[frame["timestamp"] < change]
    one.fill(before.iloc[:-60], judge=False)
    assert name not in names_of(one.fill(before.iloc[-60:]))
    found = names_of(one.fill(frame[frame["timestamp"] >= change]), slow=False)
    assert (min(found[name]) + 1) * 900 - change <= hours * 3600


def test_a_table_is_held_against_what_is_usual_in_its_time(reference: pd.DataFrame) -> None:
    later = stream(4, 2, first=30)
    day = later[later["timestamp"] < START + 31 * DAY]
    morning = day[day["hour"] < 16]
    drifted = {f.name for f in decide(reference, day, FILE).drift.features if f.drifted}
    assert drifted.isdisjoint({"hour", "delay", "distance"})
    some = {f.name: f for f in decide(reference, morning, FILE).drift.features}
    assert some["hour"].usual > 0.3  # half a day differs from whole ones
    assert not some["hour"].drifted
    plain = {f.name for f in decide(reference.drop(columns="timestamp"), morning, FILE).drift.features if f.drifted}
    assert "hour" in plain


@settings(max_examples=15)
@given(st.lists(st.integers(0, 4), min_size=30, max_size=80), st.sampled_from([(40,), (16, 40)]), st.data())
def test_blocks_add_up_to_the_panes_that_they_hold(
    sizes: list[int], spans: tuple[int, ...], data: st.DataObject
) -> None:
    layout = layout_for({"x": np.arange(5.0)})
    held = Blocks(spans, layout.size, layout.sums)
    held.length = 4
    slices: dict[int, Slice] = {}
    rng = np.random.default_rng(0)
    for pane, n in enumerate(sizes):
        if n:
            slices[pane] = Slice({0: (1, pane_of(layout, {"x": rng.integers(0, 6, n).astype(float)}))})
    end = len(sizes) - 1
    for revision, first in enumerate((end - 5, end - 9, data.draw(st.integers(end - 20, end))), 2):
        rows = sum(sizes[first : end + 1])
        older = held.older(slices, end, first, rows, min(slices, default=end))
        assert older.spans == spans
        assert older.held == end - min(slices, default=end) + 1
        low = -(-(end - spans[-1] + 1) // 4) * 4  # whole blocks alone
        expected = merge((slices[p].sum(layout.size, layout.sums) for p in range(low, first) if p in slices),
                         layout.size, layout.sums)  # fmt: skip
        assert merge(older.panes.values(), layout.size, layout.sums).same(expected)
        assert all(end - spans[-1] < pane < first for pane in older.panes)
        late = data.draw(st.integers(max(low, 0), max(first - 1, low, 0)))
        slices[late] = Slice({0: (revision, pane_of(layout, {"x": np.array([1.0])}))})
        sizes[late] = 1
        held.changed(late)
        assert held.older(slices, end, first, rows, min(slices, default=end)).source != older.source


def test_no_span_has_more_rows_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST_ROWS", 50)
    layout = layout_for({"x": np.arange(5.0)})
    held = Blocks((10, 60), layout.size, layout.sums)
    slices = {pane: Slice({0: (1, pane_of(layout, {"x": np.ones(2)}))}) for pane in range(100)}
    assert held.older(slices, 99, 95, 10, 0).spans == (10,)
    assert held.older(slices, 99, 95, 60, 0).spans == ()


def test_forgetting_and_starting_anew_change_nothing(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST_ROWS", 700)
    monkeypatch.setattr("app.core.windows.model_windows.MOST_ROWS", 700)
    frame = stream(5, 8, first=30)
    going, anew = world(profile), world(profile)
    found = going.fill(frame, every=16)
    anew.fill(frame, judge=False)
    for pane in sorted(found)[-15::2]:
        again = anew.windows.evaluate(pane)
        assert again is not None
        assert again.drift == found[pane].drift
        assert again.drift_source == found[pane].drift_source
    newest = found[max(found)].drift
    assert newest is not None
    assert newest.scales is not None
    assert 96 in newest.scales.spans  # a day of quarters of an hour
    assert len(going.windows._inputs) < len(anew.windows._inputs)


def breach(slow: float | None) -> Verdict:
    return Verdict("feature_drift", "warmth", "breach", 0.9, 0.5, sure=True, slow=slow)


def test_a_slow_change_fires_again_once_it_has_doubled() -> None:
    clear = Verdict("feature_drift", "warmth", "clear", 0.1, 0.5, sure=True)
    rule, state, fired = Rule(clear_windows=1), RuleState(), []
    story = [
        breach(1.0),
        clear,
        breach(1.5),
        breach(1.99),
        clear,
        breach(2.0),
        clear,
        breach(3.9),
        breach(None),
        clear,
        breach(3.0),
    ]
    for window, verdict in enumerate(story):
        state, change = step(state, verdict, float(window), 1, rule)
        if change is not None and change.status == "firing":
            fired.append(window)
    assert fired == [0, 5, 8]  # a sudden change always fires
