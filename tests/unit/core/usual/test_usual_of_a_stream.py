"""A stream of nights, storms and seasons against its reference: what is usual is silent, faults are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.alerting.rules.lifecycle import RuleState, step
from app.alerting.rules.verdict import Verdict
from app.core.config.monitoring import Rule
from app.core.join.state import MICROSECONDS
from app.core.panes.pane import merge
from app.core.panes.slices import Slice
from app.core.reference.profile import Profile
from app.core.scales import blocks
from app.core.scales.blocks import Blocks
from app.core.windows.model_windows import Evaluated, ModelWindows
from app.offline.decision import decide, panes_of
from app.registration import MonitoringFile, monitoring_of, read_reference
from tests.support.columns import layout_for, pane_of

DAY = 86_400.0
START = 1_709_251_200.0
"""2024-03-01."""
FILE = monitoring_of({"windows": {"pane": 900, "panes": 4}, "drift": {"min_samples": 100}})
COLUMNS = ("hour", "delay", "distance", "warmth")


def stream(seed: int, days: int, *, first: int = 0) -> pd.DataFrame:
    """Rows from 5 to 24 o'clock, 200 a day. `delay` has days of storm, `warmth` a season, `distance` nothing."""
    rng = np.random.default_rng([seed, first])
    frames = []
    for day in range(first, first + days):
        time = np.sort(rng.uniform(5, 24, 200)) * 3600
        storm = rng.random() < 0.2
        late = storm & (rng.random(200) < 0.5)
        delay = rng.normal(15, 10, 200) + np.where(late, rng.exponential(60, 200), 0)
        frames.append({
            "timestamp": START + day * DAY + time, "hour": time // 3600, "delay": delay.round(),
            "distance": rng.choice([200, 500, 760, 1000, 2475], 200).astype(float),
            "warmth": (rng.normal(5 + 0.25 * day, 2) + rng.normal(0, 3, 200)).round(1),
        })  # fmt: skip
    return pd.DataFrame({name: np.concatenate([frame[name] for frame in frames]) for name in frames[0]})


@dataclass
class World:
    """The windows of one model version, filled from a table."""

    windows: ModelWindows
    file: MonitoringFile = FILE

    def fill(self, frame: pd.DataFrame, *, judge: bool = True, every: int = 4) -> dict[int, Evaluated]:
        """Add all panes; judge each hour's end."""
        found: dict[int, Evaluated] = {}
        times = frame["timestamp"].to_numpy(np.float64)
        for number, pane in panes_of(self.windows.layout, frame, times, 900.0, self.file.columns):
            self.windows.add("input", number, 0, 1, pane)
            time = int((number + 1) * 900 * MICROSECONDS)
            self.windows.progress(0, number, time + 10 * MICROSECONDS, time - 900 * MICROSECONDS, idle=False)
            assert self.windows.closed(1e9) == number
            if judge and number % every == every - 1:
                one = self.windows.evaluate(number)
                if one is not None:
                    found[number] = one
                self.windows.changed.clear()
                self.windows.forget()
        return found


def world(profile: Profile) -> World:
    return World(ModelWindows(profile, FILE.monitoring, 1, 0.0))


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return stream(1, 30)


@pytest.fixture(scope="module")
def profile(reference: pd.DataFrame) -> Profile:
    return read_reference("m", "1", reference, FILE).profile


def names_of(found: Mapping[int, Evaluated], *, slow: bool | None = None) -> dict[str, list[int]]:
    """Each feature's panes at whose end it is found in the newest panes, or has drifted in the window."""
    names: dict[str, list[int]] = {}
    for pane, one in found.items():
        assert one.drift is not None
        scales = one.drift.scales
        assert scales is not None
        there = {f.name for f in scales.found if slow is None or f.slow == slow}
        for name in there | ({f.name for f in one.drift.features if f.drifted} if slow is None else set()):
            names.setdefault(name, []).append(pane)
    return names


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


FAULTS: dict[str, tuple[Callable[[pd.Series], pd.Series], int]] = {
    "hour": (lambda x: (x + 4) % 24, 6),
    "distance": (lambda x: x * 1.609, 12),
    "delay": (lambda x: x * 60, 4),
}


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
