"""Windows with few predictions: they reach back by rows, the same after forgetting, and large faults are found soon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.windows.reports import drift_report
from app.alerting.rules.lifecycle import RuleState, Transition, step
from app.alerting.rules.model_rules import rule_of, verdicts_of
from app.core.config.monitoring import Alerting, DriftThresholds, Monitoring, Windows
from app.core.join.state import MICROSECONDS
from app.core.panes.pane import Pane
from app.core.panes.slices import Slice, Slices, rows_of
from app.core.reference.layout import layout_of
from app.core.scales.reach import Reach, oldest_needed, reach_of
from app.core.windows.model_windows import Evaluated, ModelWindows
from tests.support.columns import Values, pane_of
from tests.support.profiles import PROFILE

FIRST = 28_333_334
NOW = datetime(2026, 1, 1, tzinfo=UTC)


LAYOUT = layout_of(PROFILE)
FEW = Monitoring(windows=Windows(pane=60.0, panes=3, longest=4800.0), drift=DriftThresholds(min_samples=20))


def rows(rng: np.random.Generator, n: int, factor: float = 1.0, *, null: bool = False) -> Mapping[str, Values]:
    region: list[str | None] = [None] * n if null else rng.choice(["north", "south", "west"], n).tolist()
    prediction = ["1" if u < 0.1 else "0" for u in rng.random(n)]
    return {"amount": rng.lognormal(3.0, 1.0, n) * factor, "region": region, "prediction": prediction}


def windows_of(monitoring: Monitoring) -> ModelWindows:
    return ModelWindows(PROFILE, monitoring, 1, 0.0)


def closed(windows: ModelWindows, pane: int) -> None:
    """All records up to the end of a pane have come, and nothing before its start can change."""
    time = (FIRST + pane + 2) * 60 * MICROSECONDS
    windows.progress(0, pane + 1, time, (FIRST + pane) * 60 * MICROSECONDS, idle=False)
    assert windows.closed(1e9) >= FIRST + pane


def slices_of(counts: Mapping[int, int]) -> Slices:
    return {pane: Slice(n=n) for pane, n in counts.items()}


def reach(counts: Mapping[int, int], end: int, longest: int = 40, needed: int = 20) -> Reach:
    return reach_of(slices_of(counts), end, 3, longest, needed)


def test_a_window_reaches_back_until_it_has_the_rows_and_no_further_than_the_longest() -> None:
    counts = {0: 9, 10: 8, 18: 5, 19: 1, 20: 6}
    assert reach(counts, 20, needed=12) == Reach(3, 3, 12)
    assert reach(counts, 20) == Reach(11, 11, 20)
    assert reach(counts, 20, needed=21) == Reach(21, 21, 29)
    assert reach(counts, 20, needed=30) == Reach(3, 21, 29)  # never reached: the window stays as it is
    assert reach(counts, 20, longest=15, needed=21) == Reach(3, 11, 20)
    assert reach({}, 20) == Reach(3, 3, 0)


COUNTS = st.dictionaries(st.integers(0, 60), st.integers(0, 12), max_size=25)


@given(COUNTS, st.integers(0, 57), st.integers(0, 40))
def test_what_is_kept_is_all_that_later_windows_reach(counts: dict[int, int], first: int, longest: int) -> None:
    oldest = oldest_needed(slices_of(counts), first, longest, 20)
    left = {pane: n for pane, n in counts.items() if pane >= oldest or pane > first - 3}
    assert sum(n > 0 for pane, n in counts.items() if oldest <= pane <= first) <= 20
    for end in range(first, 64):
        assert reach(left, end, longest) == reach(counts, end, longest)


@pytest.mark.slow
@settings(max_examples=12)
@given(st.lists(st.sampled_from([0, 0, 0, 0, 0, 1, 2, 9]), min_size=60, max_size=110), st.integers(0, 1000))
def test_forgetting_changes_nothing_and_the_report_says_what_it_covers(sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    going, panes = windows_of(FEW), {}
    for pane, n in enumerate(sizes):
        panes[pane] = pane_of(LAYOUT, rows(rng, n, 1.0 if pane < 15 else 50.0))
        going.add("input", FIRST + pane, 0, 1, panes[pane])
        closed(going, pane)
        found = going.evaluate(FIRST + pane)
        if pane % 7 and pane != len(sizes) - 1:
            going.changed.clear()
            going.forget()
            continue
        anew = windows_of(FEW)  # what another worker makes of the log; what was learned is in the table
        for known, one in panes.items():
            anew.add("input", FIRST + known, 0, 1, one)
        judged = anew.evaluate(FIRST + pane)
        assert judged == found or (judged and found and replace(judged, usual=None) == replace(found, usual=None))
        going.changed.clear()
        going.forget()
        if found is None:
            assert sum(sizes[max(0, pane - 2) : pane + 1]) == 0
            continue
        assert found.drift is not None
        first = max(0, pane - found.panes + 1)
        assert found.drift.n == sum(sizes[first : pane + 1])
        assert found.drift.sufficient == (sum(sizes[max(0, pane - 79) : pane + 1]) >= 20)
        assert found.panes == 3 or sum(sizes[first + 1 : pane + 1]) < 20 <= found.drift.n
        report = drift_report(going, FIRST + pane, found.drift, 1, NOW, found.panes)
        assert (report.window_end - report.window_start).total_seconds() == 60.0 * found.panes
    counted = going._counts["input"].between(FIRST, FIRST + len(sizes)).tolist()
    assert counted == [rows_of(going._inputs, FIRST + pane) for pane in range(len(sizes) + 1)]


def alerts_of(
    windows: ModelWindows, states: dict[tuple[str, str], RuleState], pane: int
) -> list[tuple[str, str, Transition]]:
    """What the rules fire and resolve at a pane's end."""
    found = windows.evaluate(FIRST + pane)
    assert isinstance(found, Evaluated)
    assert found.drift is not None
    report = drift_report(windows, FIRST + pane, found.drift, 1, NOW, found.panes)
    turned = []
    for verdict in verdicts_of(report, windows.monitoring):
        key, rule = (verdict.rule, verdict.subject), rule_of(verdict, windows.monitoring.alerting)
        end = report.window_end.timestamp()
        states[key], change = step(states.get(key, RuleState()), verdict, end, 1, rule)
        if change is not None:
            turned.append((*key, change))
    return turned


@pytest.mark.slow
def test_a_model_with_80_predictions_an_hour_is_judged() -> None:
    """With the defaults: windows of an hour, 500 predictions needed. Calm for 7 hours, then two faults of 3 hours."""
    windows = windows_of(Monitoring(alerting=Alerting(critical_features=("amount",))))
    states: dict[tuple[str, str], RuleState] = {}
    rng = np.random.default_rng(7)
    start, end = 7 * 60, 10 * 60
    turned: dict[tuple[str, str], list[tuple[int, Transition]]] = {}
    for pane in range(end + 540):
        faulty = start <= pane < end
        given = rows(rng, int(rng.poisson(80 / 60)), 100.0 if faulty else 1.0, null=faulty)
        windows.add("input", FIRST + pane, 0, 1, pane_of(LAYOUT, given))
        closed(windows, pane)
        windows.changed.clear()
        if pane % 60 == 0 or start - 5 <= pane < start + 30 or (pane >= end and pane % 15 == 0):
            for rule, subject, change in alerts_of(windows, states, pane):
                turned.setdefault((rule, subject), []).append((pane, change))
        windows.forget()
    for alert, within in ((("critical_feature", "amount"), 60), (("data_quality", "missing"), 120)):
        (fired, first), (over, last) = turned[alert]
        assert (first.status, last.status) == ("firing", "resolved")
        assert start < fired <= start + within
        assert abs(first.started_at / 60 - FIRST - start) <= 5  # the change point
        assert end < over < end + 540
    assert all(pane >= start for changes in turned.values() for pane, _ in changes)  # nothing while all was calm


def test_truth_before_the_window_makes_no_report_where_no_metric_has_a_baseline() -> None:
    windows = windows_of(Monitoring(windows=Windows(pane=60.0, panes=3, longest=4800.0)))
    rng, size = np.random.default_rng(0), windows.outcome_layout.size
    assert not PROFILE.baseline
    for pane in range(8):
        windows.add("input", FIRST + pane, 0, 1, pane_of(LAYOUT, rows(rng, 100)))
    closed(windows, 8)
    end = windows.latest
    first = windows.evaluate(end)
    assert first is not None
    assert first.performance is not None
    known = first.drift_source, first.performance_source, first.truth_source
    one = Pane(1, np.array([size - 1], np.int32), np.ones(1, np.int64), np.zeros(0, np.int64))
    windows.add("outcome", FIRST + 1, 0, 1, one)
    again = windows.evaluate(end, known)
    assert again is not None
    assert (again.drift, again.performance) == (None, None)
