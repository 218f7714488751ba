"""Metrics over the newest panes whose truth has come: however late it is, as soon as there is enough."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from agents.windows.reports import performance_report
from app.alerting.events.alert_event import alert_of
from app.alerting.rules.lifecycle import RuleState, step
from app.alerting.rules.model_rules import rule_of, verdicts_of
from app.core.config.monitoring import REACH, DefaultTruth, Monitoring, PerformanceThresholds, Windows
from app.core.evaluation.results import PaneMetricScales
from app.core.join.state import MICROSECONDS, NEVER
from app.core.panes.outcomes import OutcomeLayout, outcome_layout, outcome_pane
from app.core.panes.pane import Pane
from app.core.plan import Load, plan_of
from app.core.profile_builder import build_profile
from app.core.reference.profile import Profile
from app.core.scales.metrics import TruthPane, judge_metrics
from app.core.scales.newest_truth import Truth, newest_truth
from app.core.scales.truth_blocks import TruthBlocks
from app.core.windows.model_windows import ONE_SIDED, ModelWindows
from tests.support.columns import Values, pane_of
from topics.events import AlertEvent

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = 28_333_334
MONITORING = Monitoring()


def profile() -> Profile:
    """A binary model that is right in 9 of 10 rows."""
    truth = np.tile([0, 1], 1000)
    said = np.where(np.arange(2000) % 20 < 2, 1 - truth, truth)
    labels = [str(one) for one in said.tolist()]
    return build_profile("m", "1", "binary", {"x": np.arange(2000.0)}, labels, None, actual=truth.astype(str).tolist())


PROFILE = profile()
LAYOUT = outcome_layout(PROFILE)


def outcomes(right: int, wrong: int, layout: OutcomeLayout = LAYOUT) -> Pane:
    """A pane of rows of both classes alike."""
    truth = np.arange(right + wrong) % 2
    said = np.where(np.arange(right + wrong) < right, truth, 1 - truth)
    return outcome_pane(layout, said.astype(np.int64), np.full(len(truth), np.nan), truth.astype(np.float64))


def judged(*panes: tuple[int, int], coverage: float = 1.0, predictions: int = 0) -> PaneMetricScales:
    """Panes of so many right and wrong rows, the newest first."""
    rows, found = predictions, list[TruthPane]()
    for age, (right, wrong) in enumerate(panes, 1):
        rows += right + wrong
        found.append(TruthPane(age, outcomes(right, wrong), rows))
    scales = judge_metrics(PROFILE, LAYOUT, found, coverage, MONITORING)
    assert scales is not None
    return scales


@settings(max_examples=60)
@given(st.integers(1, 400), st.floats(0.0, 1.0))
def test_the_chance_of_a_share_is_the_binomial_law_s(n: int, share: float) -> None:
    right = round(n * share)
    scales = judged((right, n - right), coverage=0.0)
    margin, floor = 0.9 * (1 - 0.025), 0.9 * (1 - 0.05)
    usable = n * 2000 / (n + 2000)
    accuracy = {one.name: one for one in scales.found}.get("accuracy")
    if accuracy is not None:
        assert right / n < floor
        assert accuracy.p_value == pytest.approx(_tail(right / n, usable, margin))
    if "accuracy" in scales.calm:
        assert right / n > floor


def _tail(share: float, n: float, p: float) -> float:
    """The binomial law's lower tail; n may be a fraction, as the beta law's cdf is defined there too."""
    return float(stats.beta.cdf(1.0 - p, n * (1.0 - share), n * share + 1.0))


def test_few_rows_show_what_is_very_wrong_and_many_what_is_a_little() -> None:
    assert [one.name for one in judged((2, 18)).found if one.name == "accuracy"]
    assert judged((16, 4)).found == ()
    assert [one.panes for one in judged(*[(160, 40)] * 16).found if one.name == "accuracy"] == [16]
    assert "accuracy" in judged((900, 100)).calm
    harmless = judged(*[(8_800, 1_200)] * 16)  # 2.2 % less: within the margin, however many rows there are
    assert harmless.found == ()


def test_what_is_over_is_over_as_soon_as_the_newest_truth_shows_it() -> None:
    over = judged((190, 10), (190, 10), *[(50, 150)] * 14)
    assert "accuracy" in over.calm
    assert all(one.name != "accuracy" for one in over.found)


def test_truth_that_has_only_begun_to_come_is_not_judged() -> None:
    """Of what is wrong one hears first: 20 wrong rows of 400 predictions, where all have their truth in the end."""
    early = judged((0, 20), predictions=380)
    assert (early.found, early.spans, early.reason) == ((), (), "too little of the truth of the newest panes has come")
    assert judged((0, 20), predictions=380, coverage=0.05).found


LATE = 180
"""Panes until truth comes."""


@pytest.mark.slow
def test_truth_that_comes_late_fires_and_resolves_by_the_newest_that_has_come() -> None:
    """80 predictions an hour, truth after 3 hours: half of the rows wrong from pane 600 on, for 6 hours."""
    monitoring = replace(MONITORING, performance=PerformanceThresholds(min_samples=60))
    monitoring = replace(monitoring, windows=Windows(panes=20))
    windows, rng = ModelWindows(PROFILE, monitoring, 1, 0.0), np.random.default_rng(3)
    sizes, states, alerts = rng.poisson(80 / 60, 2000), dict[str, RuleState](), list[AlertEvent]()
    start, end = 600, 960
    for pane in range(end + 700):
        n = int(sizes[pane])
        windows.add("input", FIRST + pane, 0, 1, pane_of(windows.layout, {"x": rng.random(n), "prediction": ["1"] * n}))
        if pane >= LATE and (of := int(sizes[pane - LATE])):
            wrong = int((rng.random(of) < (0.5 if start <= pane - LATE < end else 0.1)).sum())
            windows.add("outcome", FIRST + pane - LATE, 0, 1, outcomes(of - wrong, wrong))
        time = (FIRST + pane + 2) * 60 * MICROSECONDS
        windows.progress(0, pane + 1, time, (FIRST + pane - 300) * 60 * MICROSECONDS, idle=False)
        windows.closed(1e9)
        windows.changed.clear()
        windows.forget()
        if pane % 10 or pane < LATE + 60:
            continue
        found = windows.evaluate(FIRST + pane)
        if found is None or found.performance is None:
            continue
        report = performance_report(windows, FIRST + pane, found.performance, 1, NOW, found.panes)
        for verdict in verdicts_of(report, monitoring):
            rule = rule_of(verdict, monitoring.alerting)
            key = f"{verdict.rule}/{verdict.subject}"
            states[key], change = step(states.get(key, RuleState()), verdict, report.window_end.timestamp(), 1, rule)
            if change is not None:
                alerts.append(alert_of(report, verdict, change, rule, emitted_at=NOW))
    fired, severe, over = [one for one in alerts if one.labels["metric"] == "accuracy"]
    begun = datetime.fromtimestamp((FIRST + start) * 60, UTC)
    assert [one.status for one in (fired, severe, over)] == ["firing", "firing", "resolved"]
    assert (fired.level, severe.level) == ("error", "critical")  # at once, and when it has been severe twice in a row
    told = fired.evidence["window_end"]
    assert isinstance(told, str)
    assert 0 < (datetime.fromisoformat(told) - begun).total_seconds() / 60 - LATE <= 60
    assert abs((fired.started_at - begun).total_seconds()) <= 20 * 60
    assert "of the newest" in fired.message
    assert min(one.started_at for one in alerts) >= datetime.fromtimestamp((FIRST + start - 60) * 60, UTC)


PANE = st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 2))


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(PANE, min_size=1, max_size=90), st.integers(0, 89), PANE, st.integers(0, 20), st.integers(0, 12))
def test_truth_by_blocks_is_a_plain_recount_as_it_changes_and_when_the_rest_is_forgotten(
    counts: list[tuple[int, int, int]], changed: int, now: tuple[int, int, int], late: int, more: int
) -> None:
    """Panes of some predictions, of which some are known to be right and wrong; windows of 3 panes, blocks of 4."""
    monitoring = Monitoring(
        windows=Windows(panes=3, longest=60 * 60.0), performance=PerformanceThresholds(min_samples=5)
    )
    windows = ModelWindows(PROFILE, monitoring, 1, 0.0)
    blocks, end = TruthBlocks(3, LAYOUT.size, LAYOUT.sums), FIRST + len(counts) - 1

    def put(pane: int, revision: int) -> None:
        n, right, wrong = counts[pane - FIRST]
        said: dict[str, Values] = {"x": np.zeros(n + right + wrong), "prediction": ["1"] * (n + right + wrong)}
        windows.add("input", pane, 0, revision, pane_of(windows.layout, said))
        windows.add("outcome", pane, 0, revision, outcomes(right, wrong))
        blocks.changed(pane)

    def found(limit: int, of: int = end, forgotten: int = NEVER) -> Truth:
        return newest_truth(blocks, windows._inputs, windows._outcomes, of, limit, forgotten, monitoring)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.core.scales.newest_truth.ENOUGH", 60)
        patch.setattr("app.core.scales.newest_truth.MOST_KEPT", 40)
        for pane in range(FIRST, end + 1):
            put(pane, 1)
        found(late)
        counts[changed % len(counts)] = now
        put(FIRST + changed % len(counts), 2)
        truth = found(late)
        _is_a_recount(truth, counts, end)
        first = end - min(more, end - FIRST)
        kept = min(found(0, first).needed, end - late - REACH * 3)
        for pane in [pane for pane in windows._inputs if pane < kept]:
            del windows._inputs[pane], windows._outcomes[pane]
            blocks.changed(pane)
        again = found(late, forgotten=kept - 1)
    assert again.source == truth.source
    assert [(one.age, one.panes, one.predictions) for one in again.panes] == [
        (one.age, one.panes, one.predictions) for one in truth.panes
    ]


def _is_a_recount(truth: Truth, counts: list[tuple[int, int, int]], end: int) -> None:
    """Each entry has the truth since the one before it, and the predictions since its oldest pane with truth."""
    known = [age for age, (_, right, wrong) in enumerate(reversed(counts), 1) if right + wrong]
    newest_first = counts[::-1]
    before = 0
    for one in truth.panes:
        ages = [age for age in known if before < age <= one.age]
        assert (len(ages), ages[-1]) == (one.panes, one.age)
        assert one.outcomes.n == sum(sum(newest_first[age - 1][1:]) for age in ages)
        assert one.predictions == sum(map(sum, newest_first[known[0] - 1 : one.age]))
        before = one.age
    rows = sum(one.outcomes.n for one in truth.panes)
    assert len(truth.panes) <= 3 + 4 or all(one.panes <= 4 for one in truth.panes)
    if known and known[0] <= 60 and rows < 60 and sum(map(sum, counts)) <= 40:
        left = [age for age in known if age > before]
        assert not left or len(counts) > 60  # its block is not all within the longest window


@pytest.mark.slow
def test_a_fall_of_the_accuracy_by_few_points_is_found_from_days_of_truth() -> None:
    """80 an hour, 10 points: more than a thin window has, and within what is stated beforehand."""
    load = Load(80 / 3600, 3, PROFILE.n, metrics=len(PROFILE.baseline))
    stated = next(one for one in plan_of(load, MONITORING).found if one.change.endswith("by 10 points"))
    assert stated.seconds is not None
    panes, start = round(stated.seconds / 60), 1000
    within = early = 0
    for seed in range(4):
        windows, rng = ModelWindows(PROFILE, MONITORING, 1, 0.0), np.random.default_rng(seed)
        for pane, n in enumerate(rng.poisson(80 / 60, start + panes).tolist()):
            if n:
                wrong = int((rng.random(n) < (0.2 if pane >= start else 0.1)).sum())
                said: dict[str, Values] = {"x": np.zeros(n), "prediction": ["1"] * n}
                windows.add("input", FIRST + pane, 0, 1, pane_of(windows.layout, said))
                windows.add("outcome", FIRST + pane, 0, 1, outcomes(n - wrong, wrong))
        for part in (1.0, 0.3):
            end = FIRST + start + round(panes * part) - 1
            truth = windows._truth(end, 10_000)
            scales = judge_metrics(PROFILE, LAYOUT, truth.panes, 1.0, MONITORING)
            assert scales is not None
            there = any(one.name == "accuracy" for one in scales.found)
            within, early = within + (there and part == 1.0), early + (there and part < 1.0)
    assert within >= 3
    assert early <= 2


def test_how_many_truths_are_lacking_and_when_they_are_there_is_in_the_report() -> None:
    windows = ModelWindows(PROFILE, MONITORING, 1, 0.0)
    for pane in range(30):
        said: dict[str, Values] = {"x": np.zeros(10), "prediction": ["1"] * 10}
        windows.add("input", FIRST + pane, 0, 1, pane_of(windows.layout, said))
        if pane < 12:
            windows.add("outcome", FIRST + pane, 0, 1, outcomes(10, 0))
    windows.progress(0, 1, (FIRST + 31) * 60 * MICROSECONDS, 0, idle=False)
    windows.closed(1e9)
    found = windows.evaluate(FIRST + 29)
    assert found is not None
    assert found.performance is not None
    report = performance_report(windows, FIRST + 29, found.performance, 1, NOW, found.panes)
    assert (report.needed, found.performance.needed_panes) == (80, 8)  # 120 of 200, 10 a pane
    assert report.expected == report.window_end + timedelta(minutes=8)


def test_truth_that_has_stopped_keeps_no_more_than_a_number_of_predictions() -> None:
    windows = ModelWindows(PROFILE, replace(MONITORING, windows=Windows(panes=3)), 1, 0.0)
    hundred = pane_of(windows.layout, {"x": np.zeros(100), "prediction": ["1"] * 100})
    for pane in range(300):
        windows.add("input", FIRST + pane, 0, 1, hundred)
        if pane < 20:
            windows.add("outcome", FIRST + pane, 0, 1, outcomes(2, 0))
        time = (FIRST + pane + 2) * 60 * MICROSECONDS
        windows.progress(0, pane + 1, time, (FIRST + pane - 10) * 60 * MICROSECONDS, idle=False)
        windows.closed(1e9)
        windows.changed.clear()
        windows.forget()
        assert windows.first - windows.forgotten <= 10_000 / 100 + 1 or windows.forgotten < FIRST
    assert windows.first - windows.forgotten == 12 * 3


@pytest.mark.slow
@pytest.mark.parametrize(("name", "changed"), [("log_loss", 1), ("brier", 3), ("accuracy", 2), ("roc_auc", 5)])
def test_the_change_point_of_a_metric_is_where_its_rows_changed(name: str, changed: int) -> None:
    """The answers are turned round in the newest panes; a mean over more panes than these is not since when."""
    rng = np.random.default_rng([changed, *name.encode()])

    def rows(n: int, turned: float) -> tuple[np.ndarray, np.ndarray]:
        score = rng.beta(0.6, 0.6, n)
        return np.where(rng.random(n) < turned, 1.0 - score, score), (rng.random(n) < score).astype(np.float64)

    scores, truth = rows(4000, 0.0)
    labels, actual = ((one > 0.5).astype(int).astype(str).tolist() for one in (scores, truth))
    scored = build_profile("m", "1", "binary", {"x": np.arange(4000.0)}, labels, scores, actual=actual)
    layout = outcome_layout(scored)
    right, inside = 0, 0
    for _ in range(40):
        panes = list[TruthPane]()
        for age in range(1, 17):
            score, true = rows(400, 0.7 if age <= changed else 0.0)
            outcome = outcome_pane(layout, (score > 0.5).astype(np.int64), score, true)
            panes.append(TruthPane(age, outcome, 400 * age))
        scales = judge_metrics(scored, layout, panes, 1.0, MONITORING)
        assert scales is not None
        found = next(one for one in scales.found if one.name == name)
        right += found.since_panes == changed
        inside += found.latest_panes <= changed <= found.earliest_panes
    assert right >= 36
    assert inside >= 38


@pytest.mark.slow
def test_where_silence_is_a_truth_nothing_is_judged_by_the_reported_ones_alone() -> None:
    """Positives are reported within 10 panes, the rest is silence of 40: from there on all of it is as it was."""
    silence = PerformanceThresholds(min_samples=50, default_truth=DefaultTruth("0", 2400.0))
    monitoring = replace(MONITORING, windows=Windows(panes=5, retention=4800.0), performance=silence)
    windows, rng = ModelWindows(PROFILE, monitoring, 1, 0.0), np.random.default_rng(5)
    judged_at: dict[int, tuple[bool, str, int]] = {}
    known: dict[int, Pane] = {}
    sources: dict[int, tuple[int, int, int]] = {}
    for pane in range(112):
        said: dict[str, Values] = {"x": rng.random(20), "prediction": ["1"] * 20}
        windows.add("input", FIRST + pane, 0, 1, pane_of(windows.layout, said))
        if pane >= 10:  # the positives of that time, of which half were missed
            known[pane - 10] = outcome_pane(LAYOUT, np.array([0, 1]), np.full(2, np.nan), np.array([1.0, 1.0]))
            windows.add("outcome", FIRST + pane - 10, 0, 1, known[pane - 10])
        if pane > 40:
            windows.add("outcome", FIRST + pane - 41, 0, 2, outcomes(18, 2))
        time = (FIRST + pane + 1) * 60 * MICROSECONDS
        windows.progress(0, pane + 1, time, time - 4800 * MICROSECONDS, idle=False)
        for end in windows.due(1e9) if pane % 4 == 3 else ():
            found = windows.evaluate(end, sources.get(end))
            if found is None or found.performance is None:
                continue
            sources[end] = (found.drift_source, found.performance_source, found.truth_source)
            one = found.performance
            judged_at[end - FIRST] = (one.judged, one.reason, pane)
            assert one.scales is None or "accuracy" not in [metric.name for metric in one.scales.found]
            if end == windows.latest and pane > 65:
                assert one.scales is not None
                assert "accuracy" in one.scales.calm
                assert one.scales.end_panes > 40
    whole = {end: at for end, (is_judged, _, at) in judged_at.items() if is_judged}
    assert set(whole) == set(range(2, 71))
    assert all(41 <= at - end <= 45 for end, at in whole.items())
    assert {reason for end, (_, reason, _) in judged_at.items() if end >= 71} == {ONE_SIDED}
