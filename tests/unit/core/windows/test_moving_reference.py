"""A reference that moves: the rows of the last weeks, against references made of the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agents.windows import moving_store
from agents.windows.reports import drift_report
from app.core.config.monitoring import DriftThresholds, Monitoring, MovingReference, Windows
from app.core.evaluation.drift import compare
from app.core.join.state import MICROSECONDS
from app.core.panes.pane import merge
from app.core.reference.layout import layout_of
from app.core.windows.model_windows import ModelWindows
from app.core.windows.moved_profile import moved_profile
from app.registration.monitoring import MonitoringError, monitoring_of
from tests.support.columns import Values, pane_of
from tests.support.profiles import PROFILE
from topics.events import ReferenceSpan

LAYOUT = layout_of(PROFILE)
HOUR = 3600.0
MOVING = MovingReference(48 * HOUR, 6 * HOUR)
MONITORING = Monitoring(
    windows=Windows(pane=HOUR / 2, panes=4, allowance=0.0, longest=2 * HOUR),
    drift=DriftThresholds(min_samples=50),
    reference=MOVING,
)
FIRST = round(datetime(2026, 6, 1, tzinfo=UTC).timestamp() / (HOUR / 2))
"""A Monday's first pane."""
KEY = ("m", "1", "p")
NOW = datetime(2026, 7, 1, tzinfo=UTC)


def rows(rng: np.random.Generator, n: int, factor: float = 1.0, *, west: float = 0.3) -> dict[str, Values]:
    regions = rng.choice(["north", "south", "west", "moon"], n, p=[0.35, 0.3, west, 0.35 - west]).tolist()
    return {"amount": rng.lognormal(3.0, 1.0, n) * factor, "region": regions, "prediction": ["0", "1"] * (n // 2)}


def together(parts: list[dict[str, Values]]) -> dict[str, Values]:
    found: dict[str, Values] = {
        name: [one for part in parts for one in part[name]] for name in ("region", "prediction")
    }
    return {**found, "amount": np.concatenate([part["amount"] for part in parts])}


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 3.0))
def test_the_counts_of_a_pane_are_a_reference_within_the_bound_that_it_states(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    before, now = rows(rng, 200, factor), rows(rng, 100)
    moved = moved_profile(LAYOUT, pane_of(LAYOUT, before))
    assert moved.n == 200
    for comparison in compare(layout_of(moved), pane_of(LAYOUT, now)):
        column = comparison.slots.column
        assert comparison.statistic is not None
        if column.name == "amount":
            exact = stats.ks_2samp(now["amount"], before["amount"]).statistic
            assert abs(comparison.statistic - exact) <= column.error_bound + 1e-9
            assert column.total == 200
        if column.name == "region":
            known = [sum(one == name for one in before["region"]) for name in column.categories]
            assert list(column.counts) == known
            assert column.error_bound == pytest.approx(1.0 - sum(known) / 200)


class World:
    """A model version with half an hour a pane, whose windows agent is restarted now and then."""

    def __init__(self, monitoring: Monitoring = MONITORING) -> None:
        self.monitoring = monitoring
        self.table: dict[str, bytes] = {}
        self.sent: dict[int, dict[str, Values]] = {}
        self.windows = self.started()

    def started(self) -> ModelWindows:
        windows = ModelWindows(PROFILE, self.monitoring, 1, 0.0)
        moving_store.restore(self.table, KEY, windows)
        return windows

    def put(self, pane: int, sent: dict[str, Values]) -> None:
        """Count a pane, and close it."""
        self.sent[pane] = sent
        self.windows.add("input", FIRST + pane, 0, 1, pane_of(LAYOUT, sent))
        time = round((FIRST + pane + 1) * HOUR / 2 * MICROSECONDS)
        self.windows.progress(0, pane + 1, time, time, idle=False)
        self.windows.changed.difference_update(self.windows.due(1e9))  # as if they were judged

    def restart(self) -> None:
        """Start again from the table and from the panes that were not dropped: the log has no others."""
        forgotten, first = self.windows.forgotten, self.windows.first
        self.windows = self.started()
        self.windows.forget_to(forgotten, first)
        for pane, sent in self.sent.items():
            if FIRST + pane > forgotten:
                self.windows.add("input", FIRST + pane, 0, 1, pane_of(LAYOUT, sent))

    def forget(self) -> None:
        self.windows.forget()
        moving_store.save(self.table, KEY, self.windows)

    def expected(self, since: float, until: float) -> dict[str, Values]:
        start = FIRST * HOUR / 2
        return together([one for pane, one in self.sent.items() if since <= start + pane * HOUR / 2 < until])


def same_counts(world: World, since: float, until: float) -> Mapping[str, tuple[int, ...]]:
    wanted = moved_profile(LAYOUT, pane_of(LAYOUT, world.expected(since, until)))
    return {column.name: column.counts for column in wanted.columns}


@pytest.mark.parametrize("same", [None, "hour-of-week"])
def test_a_window_is_compared_with_the_hours_before_it_whatever_was_forgotten_or_restarted(
    same: Literal["hour-of-week"] | None,
) -> None:
    moving = MOVING if same is None else MovingReference(7 * 24 * HOUR, 6 * HOUR, same)
    world, rng = World(replace(MONITORING, reference=moving)), np.random.default_rng(1)
    panes = 150 if same is None else 370
    seen = 0
    for pane in range(panes):
        world.put(pane, rows(rng, 30, 1.0 + pane / 50))
        if pane % 3 == 0:
            world.forget()
        if pane % 41 == 40:
            world.restart()
        end = FIRST + pane
        found = world.windows._moved(end)
        until = (((end + 1) * HOUR / 2 - moving.behind) // HOUR) * HOUR
        since = until - moving.moving
        if since < FIRST * HOUR / 2:
            assert found is None
            continue
        seen += 1
        assert found is not None
        assert (found.since, found.until) == (since, until)
        if same is None:
            assert found.n == 30 * moving.moving / (HOUR / 2)
            assert {one.name: one.counts for one in found.profile.columns} == same_counts(world, since, until)
        else:  # a window of two hours, or of parts of three, a week ago
            hours = {int(at // HOUR) for at in np.arange((end - 3) * HOUR / 2, (end + 1) * HOUR / 2, HOUR / 2)}
            chosen = [one for at, one in world.sent.items() if (FIRST + at) // 2 + 168 in hours]
            assert found.n == 30 * len(chosen)
            wanted = moved_profile(LAYOUT, pane_of(LAYOUT, together(chosen)))
            assert found.profile.features[0].counts == wanted.features[0].counts
    assert seen > 3
    kept = {name for name in world.table if name.count("/") == 3}
    assert len(kept) <= (moving.moving + moving.behind) / HOUR + 2


def test_slow_movement_is_no_drift_where_the_reference_moves_and_a_jump_is() -> None:
    fixed, moving = World(replace(MONITORING, reference=None)), World()
    found = []
    for world in (fixed, moving):
        rng = np.random.default_rng(3)
        for pane in range(200):
            world.put(pane, rows(rng, 60, 1.002**pane))
            world.forget()
        judged = world.windows.evaluate(FIRST + 199)
        assert judged is not None
        assert judged.drift is not None
        found.append("amount" in judged.drift.drifted_features)
    assert found == [True, False]
    rng = np.random.default_rng(4)
    for pane in range(200, 204):
        moving.put(pane, rows(rng, 60, 3.0 * 1.002**pane))
    jump = moving.windows.evaluate(FIRST + 203)
    assert jump is not None
    assert jump.drift is not None
    assert "amount" in jump.drift.drifted_features
    assert jump.reference is not None
    report = drift_report(moving.windows, FIRST + 203, jump.drift, 1, NOW, reference=jump.reference)
    until = datetime.fromtimestamp((FIRST + 204) * HOUR / 2 - 6 * HOUR, UTC)
    assert report.reference == ReferenceSpan(
        since=until - timedelta(hours=48), until=until, n=96 * 60, error=jump.reference.error
    )
    assert 0.0 < report.reference.error < 0.2
    assert drift_report(moving.windows, FIRST + 203, jump.drift, 1, NOW).reference is None


def test_hours_are_deleted_where_the_reference_moves_no_more() -> None:
    world, rng = World(), np.random.default_rng(5)
    for pane in range(80):
        world.put(pane, rows(rng, 30))
        world.forget()
    assert len(world.table) > 10
    world.windows.monitoring = replace(MONITORING, reference=None)
    world.forget()
    assert [name for name in world.table if name.count("/") == 3] == []


def test_a_pane_that_is_dropped_again_after_a_crash_is_counted_once() -> None:
    world, rng = World(), np.random.default_rng(6)
    for pane in range(60):
        world.put(pane, rows(rng, 30))
    world.windows.forget()
    moving_store.save(world.table, KEY, world.windows)
    sums = world.windows.moving.sums.hours
    world.windows = world.started()  # killed before it was noted which panes are forgotten: all are read again
    for pane, sent in world.sent.items():
        world.windows.add("input", FIRST + pane, 0, 1, pane_of(LAYOUT, sent))
    time = round((FIRST + 60) * HOUR / 2 * MICROSECONDS)
    world.windows.progress(0, 99, time, time, idle=False)
    world.windows.changed.difference_update(world.windows.due(1e9))
    world.windows.forget()
    again = world.windows.moving.sums.hours
    assert again.keys() == sums.keys()
    assert all(again[hour][1].same(merge([sums[hour][1]], LAYOUT.size, LAYOUT.sums)) for hour in sums)


@pytest.mark.parametrize(
    ("given_", "wrong"),
    [
        ({"moving": "28d", "behnd": "1d"}, "unknown key reference.behnd; did you mean reference.behind?"),
        ({"moving": "28 days"}, "reference.moving: must be seconds, or a text such as 30d"),
        ({"moving": "28d", "behind": "30min"}, "reference.behind: must be at least a window"),
        ({"moving": "3d", "same": "hour-of-week"}, "reference.moving: must be at least a week, with same"),
        ({"moving": 0}, "reference.moving: must be above 0"),
        ({"moving": "360d", "behind": "10d"}, "must be at most 365 days together"),
        ({"moving": "28d", "same": "hour"}, "reference.same"),
        ({"behind": "1d"}, "reference"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_key(given_: dict[str, object], wrong: str) -> None:
    with pytest.raises(MonitoringError, match=wrong.replace("?", r"\?")):
        monitoring_of({"reference": given_})
    found = monitoring_of({"reference": {"moving": "28d", "behind": "1d"}}).monitoring.reference
    assert found == MovingReference(28 * 86_400.0, 86_400.0)
