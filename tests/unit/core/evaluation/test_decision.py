"""What a window means: significance, effect, sufficiency, degradation."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from app.core.config.monitoring import DriftThresholds, Monitoring, PerformanceThresholds
from app.core.evaluation import results
from app.core.evaluation.decision import change, drift_decision, performance_decision, significant_among
from app.core.evaluation.degradation import without_baseline
from app.core.evaluation.performance import Metric
from app.core.evaluation.results import DriftDecision, PerformanceDecision
from app.core.panes.inputs import input_pane
from app.core.panes.outcomes import outcome_layout, outcome_pane
from app.core.profile_builder import build_profile
from app.core.reference.layout import layout_of
from tests.support.columns import Floats, Values, layout_for, pane_of
from topics import events

DEFAULT = Monitoring()
PLAIN = Monitoring(drift=DriftThresholds(policy="threshold"))


def drift(reference: dict[str, Floats], current: dict[str, Floats], monitoring: Monitoring = DEFAULT) -> DriftDecision:
    layout = layout_for(reference)
    return drift_decision(layout, pane_of(layout, dict(current)), monitoring)


def normal(n: int, shift: float = 0.0, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(shift, 1.0, n)


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_significance_is_that_of_benjamini_hochberg(p: list[float | None]) -> None:
    tested = [value for value in p if value is not None]
    expected = iter((false_discovery_control(tested) < 0.05).tolist() if tested else [])
    assert significant_among(p, DriftThresholds()) == [value is not None and next(expected) for value in p]


def test_a_shift_needs_both_significance_and_effect() -> None:
    small = drift({"x": normal(5000)}, {"x": normal(50_000, 0.06, 1)})
    large = drift({"x": normal(5000)}, {"x": normal(5000, 0.5, 1)})
    few = drift({"x": normal(5000)}, {"x": np.concatenate([normal(12, 0.1, 4), np.full(988, np.nan)])})
    assert (small.features[0].significant, small.features[0].effect, small.drifted_features) == (True, False, ())
    assert (large.features[0].significant, large.features[0].effect, large.drifted_features) == (True, True, ("x",))
    assert (few.features[0].significant, few.features[0].effect, few.drifted_features) == (False, True, ())


def test_an_insufficient_window_has_never_drifted() -> None:
    for monitoring in (DEFAULT, PLAIN):
        decision = drift({"x": normal(5000)}, {"x": normal(499, 3.0)}, monitoring)
        assert decision.features[0].significant
        assert decision.features[0].effect
        assert not decision.sufficient
        assert not decision.drift_detected
        assert decision.drifted_features == ()
    assert drift({"x": normal(5000)}, {"x": normal(500, 3.0)}).drift_detected


@pytest.mark.parametrize(("drifted", "detected"), [(0, False), (2, False), (3, True), (10, True)])
def test_the_data_has_drifted_when_the_share_of_features_reaches_the_threshold(drifted: int, detected: bool) -> None:
    reference = {f"x{i}": normal(2000, 0.0, i) for i in range(10)}
    current = {f"x{i}": normal(2000, 1.0 if i < drifted else 0.0, 50 + i) for i in range(10)}
    decision = drift(reference, current)
    assert decision.drift_detected is detected
    assert decision.drift_share == drifted / 10
    assert decision.drifted_features == tuple(f"x{i}" for i in range(drifted))


def test_the_plain_rule_takes_any_feature() -> None:
    reference = {f"x{i}": normal(5000, 0.0, i) for i in range(10)}
    current = {f"x{i}": normal(50_000, 0.06 if i < 1 else 0.0, 50 + i) for i in range(10)}
    assert not drift(reference, current).drift_detected
    decision = drift(reference, current, PLAIN)
    assert decision.drift_detected
    assert "x0" in decision.drifted_features


def test_stationary_data_gives_no_alarm() -> None:
    reference = {f"x{i}": normal(2000, 0.0, i) for i in range(15)}
    for seed in range(40):
        decision = drift(reference, {f"x{i}": normal(500, 0.0, 1000 + 20 * seed + i) for i in range(15)})
        assert not decision.drifted_features


def cities(n: int, seed: int, moved: float = 0.0) -> list[str]:
    """Of 200 equally frequent ones, a share of the rows moved to the first."""
    rng = np.random.default_rng(seed)
    return [f"c{i}" for i in np.where(rng.random(n) < moved, 0, rng.integers(0, 200, n))]


def test_the_effect_of_categories_is_without_what_sampling_brings() -> None:
    layout = layout_for({"city": cities(1000, 0)})
    calm, moved = (drift_decision(layout, pane_of(layout, {"city": cities(500, 1, by)}), DEFAULT) for by in (0.0, 0.2))
    for decision, drifted in ((calm, False), (moved, True)):
        city = decision.features[0]
        assert city.statistic is not None
        assert city.statistic > 0.2
        assert city.effect_size is not None
        assert city.effect_size < city.statistic - 0.05
        assert (city.effect, city.significant, city.drifted) == (drifted, drifted, drifted)
    plain = drift_decision(layout, pane_of(layout, {"city": cities(500, 1)}), PLAIN).features[0]
    assert (plain.effect_size, plain.effect, plain.drifted) == (calm.features[0].effect_size, True, True)


def test_the_effect_of_numbers_is_the_statistic() -> None:
    feature = drift({"x": normal(5000)}, {"x": normal(5000, 0.5, 1)}).features[0]
    assert feature.effect_size == feature.statistic
    assert drift({"x": normal(2000)}, {"x": normal(0)}).features[0].effect_size is None


@pytest.mark.parametrize("n", [500, 2000])
def test_calm_categories_are_called_drifted_in_no_more_than_the_stated_share(n: int) -> None:
    layout = layout_for({"city": cities(1000, 0)})
    found = [
        drift_decision(layout, pane_of(layout, {"city": cities(n, 10 + i)}), DEFAULT).drifted_features
        for i in range(200)
    ]
    assert sum(map(bool, found)) <= 10


def test_prediction_drift_is_judged_apart_from_the_features() -> None:
    rng = np.random.default_rng(2)
    layout = layout_for({"x": normal(2000)}, prediction=["no", "yes"] * 1000, probability=rng.random(2000))
    current: dict[str, Values] = {
        "x": normal(2000, 0.0, 3),
        "prediction": ["yes"] * 2000,
        "probability": rng.random(2000),
    }
    decision = drift_decision(layout, pane_of(layout, current), DEFAULT)
    assert decision.prediction_drift
    assert not decision.drift_detected
    assert decision.prediction is not None
    assert decision.prediction.direction == "more yes"
    assert decision.probability is not None
    assert not decision.probability.drifted


def test_data_quality_is_told() -> None:
    layout = layout_for({"x": normal(2000), "c": ["a", "b"] * 1000})
    pane = input_pane(
        layout, {"x": ["one", "1", *[None] * 299, *[0.5] * 699], "c": [*["z"] * 100, *["a"] * 900]}, ["no"] * 1000
    )
    pane.names[""] = {"extra": 7}
    decision = drift_decision(layout, pane, DEFAULT)
    assert decision.missing_share == pytest.approx(300 / 2000)
    assert decision.unknown_features == {"extra": 7}
    x, c = decision.features
    assert (x.missing, x.invalid, c.unseen, c.unseen_names) == (299, 1, 100, {"z": 100})


def test_missing_values_are_compared_with_the_reference() -> None:
    half = np.where(np.arange(2000) % 10 < 3, np.nan, normal(2000))
    layout = layout_for({"gaps": half, "full": normal(2000)})

    def missing(gaps: int, full: int) -> list[tuple[float, bool]]:
        window = {"gaps": [*[None] * gaps, *[0.5] * (1000 - gaps)], "full": [*[None] * full, *[0.5] * (1000 - full)]}
        decision = drift_decision(layout, input_pane(layout, window, ["no"] * 1000), DEFAULT)
        return [(f.reference_missing, f.missing_rises) for f in decision.features]

    assert missing(300, 0) == [(0.3, False), (0.0, False)]
    assert missing(320, 1) == [(0.3, False), (0.0, False)]  # chance
    assert missing(400, 30) == [(0.3, True), (0.0, True)]
    assert missing(0, 1000) == [(0.3, False), (0.0, True)]  # fewer than before is no fault


def test_an_empty_window_is_insufficient() -> None:
    decision = drift({"x": normal(2000)}, {"x": normal(0)})
    assert (decision.n, decision.sufficient, decision.features[0].statistic) == (0, False, None)


# Performance


def judged(
    n: int, wrong: float, monitoring: Monitoring = DEFAULT, shift: float = 0.0, feedback: float = 1.0
) -> PerformanceDecision:
    """A window of n rows of a model that was right in 80 of 100, with so many of its labels turned round."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=5000)
    profile = build_profile("m", "1", "binary", {"x": x}, *rows(rng, 0.0, x))
    layout, outcomes = layout_of(profile), outcome_layout(profile)
    x = rng.normal(size=n) * (1.0 - shift)
    prediction, p, actual = rows(rng, wrong, x)
    codes = [np.array([value == "yes" for value in values]) for values in (prediction, actual)]
    inputs = input_pane(layout, {"x": x}, prediction, p)
    known = int(n * feedback)
    pane = outcome_pane(outcomes, codes[0][:known].astype(np.int64), p[:known], codes[1][:known].astype(np.float64))
    return performance_decision(profile, outcomes, layout, inputs, pane, monitoring)


def rows(rng: np.random.Generator, wrong: float, x: Floats) -> tuple[list[str], Floats, list[str]]:
    p = 1.0 / (1.0 + np.exp(-2.0 * x))
    truth = (rng.random(len(x)) < p) ^ (rng.random(len(x)) < wrong)
    return np.where(p > 0.5, "yes", "no").tolist(), p, np.where(truth, "yes", "no").tolist()


def test_a_model_that_got_worse_is_degraded() -> None:
    decision = judged(5000, 0.3)
    assert decision.sufficient
    assert decision.degraded
    scores = {"roc_auc", "average_precision", "log_loss", "brier"}
    assert {"accuracy", "precision", "recall", "f1"} | scores == set(decision.degraded_metrics)
    assert decision.coverage == 1.0
    assert sum(map(sum, decision.confusion)) == 5000
    accuracy = decision.metrics[0]
    assert accuracy.relative is not None
    assert accuracy.absolute is not None
    assert accuracy.relative > 0.05
    assert accuracy.absolute < 0
    loss = next(m for m in decision.metrics if m.name == "log_loss")
    assert loss.relative is not None
    assert loss.relative > 0.05


def test_a_model_as_good_as_ever_is_not_degraded() -> None:
    decision = judged(5000, 0.0)
    assert (decision.degraded, decision.degraded_metrics) == (False, ())


def test_too_little_feedback_is_never_degraded() -> None:
    decision = judged(5000, 0.9, feedback=199 / 5000)
    assert not decision.sufficient
    assert not decision.degraded
    assert decision.feedback == 199
    assert decision.coverage == pytest.approx(199 / 5000)


def test_estimated_metrics_fall_without_truth_and_never_degrade_by_themselves() -> None:
    decision = judged(5000, 0.0, shift=0.8, feedback=0.0)
    assert any(metric.degraded for metric in decision.estimated)
    assert decision.degraded_metrics == ()
    assert not decision.degraded


THRESHOLDS = PerformanceThresholds()


@pytest.mark.parametrize(
    ("value", "half", "degraded"),
    [(0.75, 0.01, True), (0.75, 0.06, False), (0.77, 0.001, False), (0.85, 0.01, False)],
)
def test_degraded_needs_the_drop_and_an_interval_that_excludes_no_drop(
    value: float, half: float, degraded: bool
) -> None:
    metric = Metric("accuracy", value, 0.0, (value - half, value + half))
    assert change(metric, 0.8, 1000, 10_000, THRESHOLDS).degraded is degraded


def test_a_small_reference_widens_the_interval() -> None:
    metric = Metric("accuracy", 0.75, 0.0, (0.73, 0.77))
    assert change(metric, 0.8, 1000, 100_000, THRESHOLDS).degraded
    assert not change(metric, 0.8, 1000, 500, THRESHOLDS).degraded


def test_a_metrics_own_threshold_wins() -> None:
    metric = Metric("recall", 0.75, 0.0, (0.74, 0.76))
    own = replace(THRESHOLDS, metrics={"recall": 0.1})
    assert change(metric, 0.8, 1000, 10_000, THRESHOLDS).degraded
    assert not change(metric, 0.8, 1000, 10_000, own).degraded


ALONE = PerformanceThresholds(policy="threshold", metrics={"recall": 0.1}, limits={"log_loss": 0.6, "f1": 0.7})


@given(
    st.sampled_from(["accuracy", "recall", "log_loss", "f1"]),
    st.floats(0.0, 1.0),
    st.floats(0.01, 1.0) | st.none(),
    st.integers(0, 1000),
    st.floats(0.0, 0.5) | st.none(),
)
def test_by_policy_threshold_the_drop_or_the_limit_decides_alone(
    name: str, value: float, baseline: float | None, n: int, half: float | None
) -> None:
    interval = None if half is None else (value - half, value + half)
    found = change(Metric(name, value, 0.3, interval), baseline, n, 50, ALONE, 9, usual=0.0)
    limit = ALONE.limits.get(name)
    if limit is not None:
        worse = value > limit if name == "log_loss" else value < limit
        assert found.limit == limit
    else:
        worse = baseline is not None and (baseline - value) / baseline > ALONE.metrics.get(name, 0.05)
    known = baseline is not None or limit is not None
    assert found.judged == (known and n >= ALONE.min_samples) == (not found.reason)
    assert found.degraded == (found.judged and worse)
    if found.judged and found.relative is not None and abs(found.relative - found.threshold) > 1e-9:
        assert (found.relative > found.threshold) == found.degraded  # the rules compare these


@pytest.mark.parametrize(
    ("name", "value", "baseline", "n", "interval", "reason"),
    [
        ("r2", None, 0.8, 1000, None, "undefined in this window"),
        ("r2", 0.5, None, 1000, (0.4, 0.6), "no baseline: the reference has no truth"),
        ("precision", 0.0, 0.0, 1000, (0.0, 0.1), "its baseline is 0, the lowest that it can be"),
        ("r2", 0.5, 0.8, 199, (0.4, 0.6), "199 rows are fewer than 200 (performance.min_samples)"),
        ("mae", 0.5, 0.8, 1000, None, "no confidence interval of 1,000 rows"),
    ],
)
def test_what_cannot_be_compared_is_not_judged_and_says_why(
    name: str, value: float | None, baseline: float | None, n: int, interval: tuple[float, float] | None, reason: str
) -> None:
    found = change(Metric(name, value, 0.0, interval), baseline, n, 1000, THRESHOLDS)
    assert (found.degraded, found.judged, found.reason) == (False, False, reason)


@pytest.mark.parametrize(
    ("name", "baseline", "value", "degraded"),
    [
        ("mae", 0.0, 0.4, False),  # 4 % of the reference's spread of 10: within the threshold of 5 %
        ("mae", 0.0, 0.6, True),
        ("rmse", 0.0, 0.6, True),
        ("brier", 0.0, 0.04, False),
        ("brier", 0.0, 0.06, True),
        ("mae", 1e-12, 3e-12, False),  # right but for rounding, then and now
        ("mae", 1e-12, 0.6, True),
        ("mae", 1e-4, 2e-4, False),  # doubled, but the interval is wide
        ("r2", 0.0, -0.04, False),
        ("r2", 0.0, -0.06, True),
        ("r2", -3.0, -3.1, False),  # the squared error rises by 2.5 %
        ("r2", -3.0, -3.3, True),  # by 7.5 %
        ("r2", -3.0, 0.5, False),
    ],
)
def test_a_baseline_at_or_below_zero_is_judged_by_an_absolute_bound(
    name: str, baseline: float, value: float, degraded: bool
) -> None:
    sharp = Metric(name, value, 0.0, (value - 0.001, value + 0.001))
    found = change(sharp, baseline, 1000, 10_000, THRESHOLDS, spread=10.0)
    assert (found.judged, found.degraded) == (True, degraded)
    vague = Metric(name, value, 0.0, (value - 5.0, value + 5.0))  # the interval decides too
    assert not change(vague, baseline, 1000, 10_000, THRESHOLDS, spread=10.0).degraded


def test_a_perfect_regression_that_gets_worse_is_degraded() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(100.0, 20.0, 4000)
    x = {"x": rng.normal(size=4000)}
    profile = build_profile("m", "1", "regression", x, y, actual=y)
    assert profile.baseline["mae"] == profile.baseline["rmse"] == 0.0
    layout, outcomes = layout_of(profile), outcome_layout(profile)
    for error, degraded in ((0.1, False), (5.0, True)):
        told = y[:2000] + rng.normal(0.0, error, 2000)
        inputs = input_pane(layout, {"x": rng.normal(size=2000)}, told.tolist(), [])
        pane = outcome_pane(outcomes, np.full(2000, -1), told, y[:2000])
        found = performance_decision(profile, outcomes, layout, inputs, pane, Monitoring())
        assert all(metric.judged for metric in found.metrics)
        assert ({"mae", "rmse"} <= set(found.degraded_metrics)) is degraded


def test_a_reference_without_truth_judges_nothing_and_says_so() -> None:
    rng = np.random.default_rng(4)
    said, probability, truth = rows(rng, 0.5, rng.normal(size=1000))
    bare = build_profile("m", "1", "binary", {"x": rng.normal(size=1000)}, said, probability)
    layout, outcomes = layout_of(bare), outcome_layout(bare)
    inputs = input_pane(layout, {"x": rng.normal(size=1000)}, said, probability.tolist())
    codes = np.array([bare.labels.index(one) for one in truth], np.float64)
    predicted = np.array([bare.labels.index(one) for one in said])
    found = performance_decision(
        bare, outcomes, layout, inputs, outcome_pane(outcomes, predicted, probability, codes), Monitoring()
    )
    assert found.sufficient
    assert (found.judged, found.degraded, found.reason) == (False, False, "no baseline: the reference has no truth")
    assert {metric.judged for metric in found.metrics} == {False}
    assert found.metrics[0].value is not None


def test_what_has_no_baseline_is_known_at_registration_with_what_to_do() -> None:
    rng = np.random.default_rng(4)
    said, probability, truth = rows(rng, 0.2, rng.normal(size=500))
    x = {"x": rng.normal(size=500)}

    def missing(
        prediction: list[str], p: Floats | None, actual: list[str] | None, positive: str | None = None
    ) -> dict[str, str]:
        return without_baseline(build_profile("m", "1", "binary", x, prediction, p, actual, positive_label=positive))

    assert missing(said, probability, truth) == {}
    bare = missing(said, probability, None)
    assert {"accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier"} <= set(bare)
    assert all("no truth" in reason and "columns.target" in reason for reason in bare.values())
    scoreless = missing(said, None, truth)
    assert set(scoreless) == {"roc_auc", "log_loss", "brier"}
    assert all("columns.probability" in reason for reason in scoreless.values())
    never = missing(["no"] * 500, probability, truth, "yes")
    assert {"precision", "recall", "f1"} <= set(never)
    assert "cannot get worse" in never["recall"]


def test_truth_that_cannot_be_read_is_not_said_to_be_too_few_rows() -> None:
    y = np.random.default_rng(3).normal(size=1000)
    profile = build_profile("m", "1", "regression", {"x": y}, y, actual=y + 0.1)
    layout, outcomes = layout_of(profile), outcome_layout(profile)
    inputs = input_pane(layout, {"x": y}, y.tolist(), [])
    for readable, reason in (
        (10, "only 10 of 1,000 rows with truth can be judged, 200 are needed (performance.min_samples)"),
        (0, "only 0 of 1,000 rows with truth can be judged, 200 are needed (performance.min_samples)"),
        (1000, ""),
    ):
        pane = outcome_pane(outcomes, np.full(1000, -1), y, np.where(np.arange(1000) < readable, y, np.nan))
        found = performance_decision(profile, outcomes, layout, inputs, pane, Monitoring())
        assert (found.judged, found.reason) == (not reason, reason)


def test_decisions_fit_the_reports_of_the_stream() -> None:
    feature = drift({"x": normal(1000)}, {"x": normal(1000)}).features[0]
    for found in (feature, judged(1000, 0.3).metrics[0]):
        assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
    for core, event in (
        (results.PaneFinding, events.ScaleFinding),
        (results.PaneDrift, events.DriftAtScale),
        (results.PaneScales, events.Scales),
        (results.PaneMetricFinding, events.MetricFinding),
        (results.PaneMetricScales, events.MetricScales),
    ):
        computed, sent = set(core.__slots__), set(event.__struct_fields__)
        assert computed <= sent  # the core counts panes and knows no times
        assert sent - computed <= {"start", "since", "earliest", "latest", "end"}
    envelope = set(events.Report.__struct_fields__) - {"n", "sufficient"}
    times = {"needed_panes": "expected", "first_panes": "expected_first"}  # panes to come are a time there
    since = {"not_judged_since", "usual", "reference"}  # what the windows before have shown
    decided = {times.get(name, name) for name in DriftDecision.__dataclass_fields__}
    assert set(events.DriftReport.__struct_fields__) - envelope == decided | since
    performance = {times.get(name, name) for name in PerformanceDecision.__dataclass_fields__}
    assert set(events.PerformanceReport.__struct_fields__) - envelope == performance


def test_a_window_without_feedback_has_nothing_to_say() -> None:
    decision = judged(600, 0.0, feedback=0.0)
    assert decision.metrics[0].value is None
    assert (decision.feedback, decision.sufficient, decision.coverage) == (0, False, 0.0)
