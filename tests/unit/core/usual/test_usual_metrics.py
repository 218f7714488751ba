"""What is usual of metrics: bad days come and go, and only what is worse than these is a fault."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from app.alerting.rules.model_rules import verdicts_of
from app.core.config.monitoring import Monitoring
from app.core.evaluation.degradation import changes
from app.core.evaluation.performance import metrics_of
from app.core.evaluation.usual_effects import UsualEffects, effects_of
from app.core.panes.inputs import input_pane
from app.core.panes.outcomes import outcome_layout, outcome_pane, outcome_rows
from app.core.profile_builder import build_profile
from app.core.reference.layout import layout_of
from app.core.reference.profile import Profile
from app.core.reference.usual import Floats, ReferenceUsual
from app.core.scales.metrics import TruthPane, judge_metrics
from app.core.usual.metrics import learn_metrics
from app.core.usual.spans import DAY, WEEK, RowWindows
from app.core.windows.model_windows import ModelWindows
from tests.support.reports import metric, performance_report
from topics.results import MetricChange

DAYS, ROWS = 56, 240


@dataclass(frozen=True)
class Rows:
    """Rows of a binary model: probability, predicted label and truth, with their times."""

    score: Floats
    predicted: Floats
    actual: Floats
    times: Floats


def rows_of(bad: Floats, rng: np.random.Generator) -> Rows:
    """Draw ROWS rows a day; of each day a share of the truths is turned round."""
    score = rng.beta(0.5, 0.5, len(bad) * ROWS)
    actual = (rng.random(len(score)) < score).astype(float)
    turned = rng.random(len(score)) < np.repeat(bad, ROWS)
    times = np.sort(rng.random(len(score))) * len(bad) * DAY
    return Rows(score, (score > 0.5).astype(float), np.where(turned, 1.0 - actual, actual), times)


def profile_of(rows: Rows) -> Profile:
    labels, truth = (one.astype(int).astype(str).tolist() for one in (rows.predicted, rows.actual))
    x = np.arange(float(len(labels)))
    profile = build_profile("m", "1", "binary", {"x": x}, labels, rows.score, truth)
    usual = ReferenceUsual(0.0, DAYS * DAY, len(x), (3600.0, DAY, WEEK), (DAYS * 24, DAYS, DAYS // 7), ())
    outcomes = outcome_rows(outcome_layout(profile), rows.predicted.astype(np.int64), rows.score, rows.actual)
    return replace(profile, usual=learn_metrics(profile, usual, outcomes, rows.times))


def effects(profile: Profile) -> UsualEffects:
    return effects_of(profile.usual)


def stormy(days: int, rng: np.random.Generator) -> Floats:
    """Most days are good; of one in seven up to a quarter of the truths are turned round."""
    return np.where(rng.random(days) < 1 / 7, rng.uniform(0.1, 0.25, days), 0.0)


@pytest.fixture(scope="module")
def weather() -> tuple[Profile, Rows]:
    rng = np.random.default_rng(4)
    rows = rows_of(stormy(DAYS, rng), rng)
    return profile_of(rows), rows


@pytest.mark.slow
def test_what_is_usual_is_no_less_than_the_worst_windows_of_the_reference(weather: tuple[Profile, Rows]) -> None:
    profile, rows = weather
    worst = {"accuracy": 0.0, "log_loss": 0.0}
    for start in np.arange(0.0, DAYS * DAY, DAY):
        inside = (rows.times >= start) & (rows.times < start + DAY)
        out = ~inside
        accuracy = [accuracy_score(rows.actual[part], rows.predicted[part]) for part in (inside, out)]
        loss = [log_loss(rows.actual[part], rows.score[part]) for part in (inside, out)]
        worst["accuracy"] = max(worst["accuracy"], (accuracy[1] - accuracy[0]) / profile.baseline["accuracy"])
        worst["log_loss"] = max(worst["log_loss"], (loss[0] - loss[1]) / profile.baseline["log_loss"])
    for name, drop in worst.items():
        assert effects(profile).drop(name, DAY) >= 0.9 * drop  # less what sampling brings
        assert effects(profile).drop(name, WEEK) < effects(profile).drop(name, DAY)
    assert effects(profile).drop("accuracy", DAY) < 0.6


def test_independent_rows_have_next_to_no_usual_drop() -> None:
    rng = np.random.default_rng(5)
    level = profile_of(rows_of(np.zeros(DAYS), rng))
    assert effects(level).drop("accuracy", WEEK) < 0.04
    assert effects(level).drop("accuracy", DAY) < 0.12
    assert effects(level).drop("unknown", DAY) == 0.0


def test_between_two_spans_the_drop_is_the_larger_one_of_theirs_and_that_of_the_nearest_outside() -> None:
    known = UsualEffects((10.0, 20.0, 40.0), {}, {"accuracy": (0.3, 0.1, 0.2)})
    drops = [known.drop("accuracy", seconds) for seconds in (1.0, 10.0, 15.0, 20.0, 30.0, 40.0, 99.0)]
    assert drops == [0.3, 0.3, 0.3, 0.1, 0.2, 0.2, 0.2]


def test_thinned_windows_are_worth_as_many_side_by_side_as_do_not_overlap() -> None:
    first = np.arange(0, 4000, 10)
    windows = RowWindows(first, first + 40, 100.75)  # each begins a quarter of its length after the one before
    assert windows.thinned(400) is windows
    assert len(windows.thinned(100).first) == 100
    assert windows.thinned(100).side_by_side == pytest.approx(100)
    assert windows.thinned(50).side_by_side == pytest.approx(50)
    assert windows.thinned(200).side_by_side == pytest.approx(1 + 199 / 2)


@pytest.mark.slow
def test_bad_days_as_the_reference_has_them_are_nothing_and_a_fault_is_found(weather: tuple[Profile, Rows]) -> None:
    profile, _ = weather
    plain, layout = replace(profile, usual=None), outcome_layout(profile)
    rng = np.random.default_rng(6)
    monitoring = Monitoring()
    hours = replace(monitoring, windows=replace(monitoring.windows, pane=DAY / 24, panes=24))

    def panes_of(share: float) -> list[TruthPane]:
        rows = rows_of(np.array([share]), rng)
        parts = [slice(ROWS * i // 24, ROWS * (i + 1) // 24) for i in range(24)]
        panes = [
            outcome_pane(layout, rows.predicted[part].astype(np.int64), rows.score[part], rows.actual[part])
            for part in parts
        ]
        return [TruthPane(age, pane, ROWS * age // 24) for age, pane in enumerate(panes, 1)]

    def found(of: Profile, panes: list[TruthPane]) -> set[str]:
        scales = judge_metrics(of, layout, panes, 1.0, hours)
        assert scales is not None
        return {one.name for one in scales.found}

    days = [panes_of(share) for share in stormy(40, rng)]
    assert sum(bool(found(plain, day)) for day in days) >= 2
    assert not any(found(profile, day) for day in days)
    assert "accuracy" in found(profile, panes_of(0.75))

    learned = learned_live(plain, hours, [panes_of(share) for share in (0.0, *stormy(15, rng), 0.0)])
    assert not any(found(learned, day) for day in days)
    assert "accuracy" in found(learned, panes_of(0.75))


def learned_live(profile: Profile, monitoring: Monitoring, days: list[list[TruthPane]]) -> Profile:
    """The profile with what is usual of its metrics, learned from a stream's days of hours."""
    windows = ModelWindows(profile, monitoring, 1, 0.0)
    hours = [pane for day in days for pane in day]
    layout = layout_of(profile)
    for hour, pane in enumerate(hours):
        n = pane.outcomes.n
        windows.add("input", hour, 0, 1, input_pane(layout, {"x": np.arange(float(n))}, ["1"] * n, [0.7] * n))
        windows.add("outcome", hour, 0, 1, pane.outcomes)
    windows.look(len(hours) - 1, len(hours) - 1)
    assert windows.learning is not None
    assert windows.usual_at(10 * len(hours)) is not None
    return replace(profile, usual=windows.usual_at(10 * len(hours)))


@pytest.mark.parametrize(("share", "degraded"), [(0.2, False), (0.6, True)])
def test_a_window_is_worse_only_beyond_what_comes_and_goes(
    weather: tuple[Profile, Rows], share: float, degraded: bool
) -> None:
    profile, rows = weather
    assert profile.usual is not None
    layout, usual = outcome_layout(profile), effects(profile).drop("accuracy", DAY)
    turned = np.where(np.random.default_rng(7).random(len(rows.actual)) < share, 1.0 - rows.actual, rows.actual)
    pane = outcome_pane(layout, rows.predicted.astype(np.int64), rows.score, turned)

    def accuracy(of: Profile, seconds: float | None) -> MetricChange:
        thresholds = Monitoring().performance
        return changes(of, metrics_of(layout, pane), of.baseline, pane.n, thresholds, seconds)[0]

    judged = accuracy(profile, DAY)
    assert accuracy(profile, None).degraded
    assert judged.degraded == degraded
    fallen = 1 - accuracy_score(turned, rows.predicted) / profile.baseline["accuracy"]
    assert judged.relative == pytest.approx(fallen)
    assert judged.usual == usual
    assert judged.threshold == pytest.approx(usual + 0.025)
    assert degraded == (fallen > judged.threshold)
    unsteady = tuple(replace(one, drop=(0.9,) * 3) for one in profile.usual.metrics)
    change = accuracy(replace(profile, usual=replace(profile.usual, metrics=unsteady)), DAY)
    assert (change.judged, change.reason) == (False, "it falls by up to 90% in so long a time by itself")


@pytest.mark.parametrize(
    ("drop", "state"), [(0.04, "clear"), (0.06, "between"), (0.2, "between"), (0.3, "breach"), (0.5, "breach")]
)
def test_an_alert_does_not_end_because_hours_that_vary_more_are_judged(drop: float, state: str) -> None:
    unsteady = metric("accuracy", drop, usual=0.23, threshold=0.255, degraded=drop > 0.255)
    verdict = verdicts_of(performance_report(0, unsteady), Monitoring())[0]
    assert verdict.state == state
    assert verdict.severe == (drop > 0.1 + 0.23)
