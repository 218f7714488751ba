"""What is usual of a stream whose reference has no times: learned from its first weeks, and frozen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from agents.windows.usual_store import restore, save
from app.core.reference.profile import Profile
from app.core.scales import blocks
from app.core.scales.suffixes import suffixes_of
from app.core.usual.bound import CHANCE
from app.core.usual.days import Days
from app.core.usual.distances import EXPECTED_SQUARE
from app.core.usual.from_days import DaysSeen, faulty_days
from app.core.usual.observed import Binned, effects_against_reference
from app.core.windows.model_windows import Evaluated
from app.offline.decision import judge
from app.registration.profiling import read_reference
from tests.support.columns import layout_for, pane_of
from tests.support.usual_world import DAY, FAULTS, FILE, START, World, names_of, stream, world

KEY = ("m", "1", "p")
FIRST, LEARNED = 30, 45
"""Days since START: the stream's first one, and the first one on which it is known what is usual."""


@pytest.fixture(scope="module")
def profile() -> Profile:
    """March, without its times."""
    return read_reference("m", "1", stream(1, 30).drop(columns="timestamp"), FILE).profile


@pytest.fixture(scope="module")
def live() -> pd.DataFrame:
    return stream(2, 24, first=FIRST)


def between(frame: pd.DataFrame, first: float, last: float) -> pd.DataFrame:
    times = frame["timestamp"]
    return frame[(times >= START + first * DAY) & (times < START + last * DAY)]


def saved(one: World) -> dict[str, bytes]:
    table: dict[str, bytes] = {}
    save(table, KEY, one.windows)
    return table


@pytest.fixture(scope="module")
def learned(profile: Profile, live: pd.DataFrame) -> dict[str, bytes]:
    """The table once it has been learned."""
    one = world(profile)
    one.fill(between(live, FIRST, LEARNED + 0.6), judge=False)
    one.windows.look(one.windows.closed(1e9), 0)
    return saved(one)


def resumed(profile: Profile, table: dict[str, bytes]) -> World:
    one = world(profile)
    restore(table, KEY, one.windows)
    return one


def sources(found: dict[int, Evaluated]) -> list[str]:
    return [one.usual.source for one in found.values() if one.usual is not None]


@pytest.mark.slow
def test_calm_hours_are_silent_once_it_is_learned_what_is_usual(profile: Profile, live: pd.DataFrame) -> None:
    found = world(profile).fill(live, every=32)
    said = sources(found)
    assert said == sorted(said)  # "learning", then "live"
    before = {pane: one for pane, one in found.items() if one.usual is not None and one.usual.source == "learning"}
    after = {pane: one for pane, one in found.items() if pane not in before}
    assert {int((pane + 1) * 900 - START) // 86_400 for pane in list(before)[-1:]} == {LEARNED - 1}
    assert len(after) > 15
    assert len(names_of(before)["hour"]) == len(before)  # the rule for independent rows
    assert set(names_of(after)) <= {"warmth"}  # it is no longer as in the reference, and moves on
    state = next(iter(before.values())).usual
    assert state is not None
    assert (state.days, state.needs) == (0, 14)
    assert state.until == START + LEARNED * DAY


@pytest.mark.slow
@pytest.mark.parametrize(("name", "hours"), [("hour", 24), ("distance", 16), ("delay", 12)])
def test_a_wrong_unit_is_found_by_what_was_learned(
    profile: Profile, live: pd.DataFrame, learned: dict[str, bytes], name: str, hours: int
) -> None:
    """Two weeks say less of what is usual than a month does: four hours are not found, eight are."""
    change = START + 48 * DAY + 9 * 3600
    frame = between(live, 46, 50)
    broken = (frame["hour"] + 8) % 24 if name == "hour" else FAULTS[name][0](frame[name])
    frame[name] = frame[name].where(frame["timestamp"] < change, broken)
    one, day = resumed(profile, learned), change / DAY - START / DAY
    one.fill(between(frame, 46, day), judge=False)
    found = one.fill(between(frame, day, 50), every=8)
    assert set(sources(found)) == {"live"}
    assert set(names_of(found)) <= {name, "warmth"}
    assert (min(names_of(found)[name]) + 1) * 900 - change <= hours * 3600


@pytest.mark.slow
def test_a_fault_while_it_learns_is_found_by_the_floor_and_is_not_learned(
    profile: Profile, live: pd.DataFrame, learned: dict[str, bytes]
) -> None:
    first, last = START + 36.3 * DAY, START + 38.6 * DAY
    frame = between(live, FIRST, LEARNED + 0.6)
    wrong = (frame["timestamp"] >= first) & (frame["timestamp"] < last)
    frame["distance"] = frame["distance"].where(~wrong, frame["distance"] * 1.609)
    one = world(profile)
    one.fill(between(frame, FIRST, 36.3), judge=False)
    found = one.fill(between(frame, 36.3, 37.3))
    assert set(sources(found)) == {"learning"}
    assert (min(names_of(found)["distance"]) + 1) * 900 - first <= 12 * 3600
    one.fill(between(frame, 37.3, LEARNED + 0.6), judge=False)
    one.windows.look(one.windows.closed(1e9), 0)
    spoiled, clean = usual_of(one), usual_of(resumed(profile, learned))
    assert spoiled["distance"] == pytest.approx(clean["distance"], abs=0.1)
    assert {name: spoiled[name] for name in ("hour", "delay")} == {name: clean[name] for name in ("hour", "delay")}


def usual_of(one: World) -> dict[str, tuple[float, ...]]:
    assert one.windows.learning is not None
    usual = one.windows.learning.columns.learned
    assert usual is not None
    return {column.name: column.distribution for column in usual.columns}


@pytest.mark.slow
def test_killed_while_it_learns_it_learns_the_same(
    profile: Profile, live: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worker finds the table, and the panes that are not forgotten; the first dies before anything is saved."""
    monkeypatch.setattr(blocks, "MOST_ROWS", 700)
    monkeypatch.setattr("app.core.windows.model_windows.MOST_ROWS", 700)
    going, frame = world(profile), between(live, FIRST, 48)
    found = going.fill(frame, every=64)
    table: dict[str, bytes] = {}
    killed, again, forgotten = world(profile), dict[int, Evaluated](), None
    for i, day in enumerate(range(FIRST, 48, 6)):
        again |= killed.fill(between(frame, day, day + 6), every=64)
        if i:
            save(table, KEY, killed.windows)  # else it dies before
            forgotten = killed.windows.forgotten, killed.windows.first
        killed = resumed(profile, table)
        if forgotten is not None:
            assert forgotten[0] * 900 > START + (day - 2) * DAY  # most is in the table alone
            killed.windows.forget_to(*forgotten)
        killed.fill(between(frame, FIRST, day + 6), judge=False)
    assert {pane: (one.drift, one.drift_source, one.usual) for pane, one in again.items()} == {
        pane: (one.drift, one.drift_source, one.usual) for pane, one in found.items()
    }
    assert usual_of(killed) == usual_of(going)
    save(table, KEY, killed.windows)
    assert len(table) == 1  # no day is kept longer than it is needed


@pytest.mark.slow
def test_a_table_judged_by_what_was_learned_is_the_window(
    profile: Profile, live: pd.DataFrame, learned: dict[str, bytes]
) -> None:
    one = resumed(profile, learned)
    frame = between(live, 47, 48)
    found = one.fill(frame, every=4)
    for end in sorted(found)[-40::8]:
        known = found[end]
        assert known.drift is not None
        rows = frame[(frame["timestamp"] >= (end + 1 - known.panes) * 900.0) & (frame["timestamp"] < (end + 1) * 900.0)]
        same = judge(replace(profile, usual=one.windows.usual_at(end)), rows, FILE.monitoring, FILE.columns).drift
        assert [f.name for f in same.features] == [f.name for f in known.drift.features]
        assert [f.statistic for f in same.features] == [f.statistic for f in known.drift.features]


NUMBERS = st.lists(st.sampled_from([np.nan, np.inf, 0.0]) | st.floats(-3, 3), min_size=12, max_size=40)
KNOWN = st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=12, max_size=40)
NAMES = st.lists(st.sampled_from(["a", "b", "c", "d", "new", None]), min_size=12, max_size=40)


@settings(max_examples=40)
@given(NUMBERS, NUMBERS, KNOWN, NAMES)
def test_effects_are_those_of_scipy_against_the_reference(
    before: list[float], now: list[float], then: list[str | None], names: list[str | None]
) -> None:
    m, n = min(len(before), len(then)), min(len(now), len(names))
    layout = layout_for({"x": np.array(before[:m]), "c": then[:m]})
    pane = pane_of(layout, {"x": np.array(now[:n]), "c": names[:n]})
    suffixes = suffixes_of({3: pane}, 3, [1], layout.size)
    effects = effects_against_reference(layout, suffixes).reshape(3, len(layout.slots))
    x, y = (np.array(values[:k])[~np.isnan(values[:k])] for values, k in ((before, m), (now, n)))
    if len(x) and len(y):
        rows = len(x) * len(y) / (len(x) + len(y))
        square = ks_2samp(x, y, method="asymp").statistic ** 2 - EXPECTED_SQUARE / max(rows, 1.0)
        assert effects[0, 0] == pytest.approx(np.sqrt(max(square, 0.0)), abs=1e-7)
    old, new = ([name for name in part if name is not None] for part in (then[:m], names[:n]))
    if old and new:
        p, q = ([part.count(name) / len(part) for name in ("a", "b", "c", "d", "new")] for part in (new, old))
        rows = len(old) * len(new) / (len(old) + len(new))
        expected = sum(min(share, (1 - share) / (8 * np.log(2) * max(rows, 1.0))) for share in q)
        assert effects[0, 1] == pytest.approx(np.sqrt(max(jensenshannon(p, q, base=2) ** 2 - expected, 0.0)), abs=1e-6)
    share, rows = then[:m].count(None) / m, n * m / (n + m)
    gone = names[:n].count(None) / n - share - np.sqrt(share * (1 - share) / max(rows, 1.0))
    assert effects[1, 1] == pytest.approx(max(gone, 0.0), abs=1e-9)


def test_all_rows_of_the_first_weeks_against_the_reference() -> None:
    rng = np.random.default_rng(1)
    layout = layout_for({"x": rng.normal(size=4000), "c": rng.choice(["a", "b"], 4000).tolist()})
    binned = Binned(layout)
    moved = {"x": rng.normal(0.5, 1.0, 4000), "c": rng.choice(["a", "b"], 4000, p=[0.9, 0.1]).tolist()}
    rows = binned.count(suffixes_of({0: pane_of(layout, moved)}, 0, [1], layout.size), 0)
    assert rows.sum(axis=1)[:2].tolist() == [4000, 4000]
    x, c, *_ = binned.differences(rows)
    assert x == pytest.approx(0.197, abs=0.03)  # 2 Phi(1/4) - 1
    assert c == pytest.approx(jensenshannon([0.9, 0.1], [0.5, 0.5], base=2), abs=0.03)


def test_one_run_of_days_far_beyond_the_others_is_a_fault_and_storms_are_none() -> None:
    rng = np.random.default_rng(3)
    days = np.repeat(np.arange(15), 24)

    def faulty(special: dict[int, float]) -> set[int]:
        effects = rng.uniform(0.0, 0.15, len(days))
        for day, effect in special.items():
            effects[days == day] = rng.uniform(effect / 2, effect, 24)
        return faulty_days([DaysSeen(3600.0, days, effects[:, None], 360.0, 360.0)], 0, 0.1, CHANCE)

    assert faulty({}) == set()
    assert faulty({2: 0.4, 6: 0.35, 11: 0.45}) == set()  # storms, here and there
    assert faulty({4: 0.95}) == {3, 4, 5}  # it may have begun late on the day before
    assert faulty({4: 0.9, 5: 0.9, 6: 0.8, 7: 0.9}) == {3, 4, 5, 6, 7, 8}
    assert faulty(dict.fromkeys(range(6, 15), 0.9)) == set(range(5, 15))  # and it has not ended yet


@given(st.integers(0, 5000), st.sampled_from([60.0, 70.0, 900.0, 7200.0]))
def test_looks_are_three_an_hour_once_each(oldest: int, pane: float) -> None:
    days, first = Days((1, 4), pane, 1), []
    for until in (oldest + 50, oldest + 400):
        first += list(days.looks(oldest, until))
    assert first == list(Days((1, 4), pane, 1).looks(oldest, oldest + 400))
    stride = max(1200.0, pane)
    for look in first:
        assert oldest <= look.end <= oldest + 400
        assert (look.number - 1) * stride < (look.end + 1) * pane <= (look.number + 1) * stride
    minutes = {int((look.end + 1) * pane % 3600 // 60) for look in first}
    assert pane > 60.0 or len(minutes) > 15  # what repeats itself by the hour is not seen at the same minute alone
