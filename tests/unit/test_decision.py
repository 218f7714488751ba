"""What a window means: significance, effect, sufficiency, degradation."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from app.core.config import DriftThresholds, Monitoring, PerformanceThresholds
from app.core.counting import input_pane
from app.core.decision import change, drift_decision, performance_decision, significant_among
from app.core.findings import DriftDecision, PerformanceDecision
from app.core.layout import layout_of
from app.core.outcome import outcome_layout, outcome_pane
from app.core.performance import Metric
from app.core.reference import build_profile
from tests.unit.columns import Floats, Values, layout_for, pane_of
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
        layout, {"x": ["1", *[None] * 299, *[0.5] * 700], "c": [*["z"] * 100, *["a"] * 900]}, ["no"] * 1000
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


@pytest.mark.parametrize(("value", "baseline"), [(None, 0.8), (0.5, None), (0.5, 0.0)])
def test_without_value_or_baseline_there_is_no_drop(value: float | None, baseline: float | None) -> None:
    found = change(Metric("r2", value, 0.0, (0.4, 0.6)), baseline, 1000, 1000, THRESHOLDS)
    assert (found.relative, found.degraded) == (None, False)


def test_decisions_fit_the_reports_of_the_stream() -> None:
    decision = judged(1000, 0.3)
    for ours, theirs in ((decision.metrics[0], events.MetricChange),):
        assert msgspec.to_builtins(msgspec.convert(ours, theirs, from_attributes=True)) == msgspec.to_builtins(ours)
    feature = drift({"x": normal(1000)}, {"x": normal(1000)}).features[0]
    wire = msgspec.convert(feature, events.FeatureDrift, from_attributes=True)
    assert msgspec.to_builtins(wire) == msgspec.to_builtins(feature)
    envelope = set(events.Report.__struct_fields__) - {"n", "sufficient"}
    assert set(events.DriftReport.__struct_fields__) - envelope == set(DriftDecision.__dataclass_fields__)
    assert set(events.PerformanceReport.__struct_fields__) - envelope == set(PerformanceDecision.__dataclass_fields__)


def test_a_window_without_feedback_has_nothing_to_say() -> None:
    decision = judged(600, 0.0, feedback=0.0)
    assert decision.metrics[0].value is None
    assert (decision.feedback, decision.sufficient, decision.coverage) == (0, False, 0.0)
