"""From reference rows to a profile, its calibration, and what it expects before the truth arrives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.isotonic import IsotonicRegression

from app.core.config.monitoring import Monitoring
from app.core.evaluation.estimation import calibrated, calibration_of, estimated_metrics
from app.core.evaluation.performance import metrics_of
from app.core.panes.inputs import input_pane
from app.core.panes.outcomes import outcome_layout, outcome_pane
from app.core.profile_builder import build_profile
from app.core.reference.layout import layout_of
from app.core.reference.profile import Profile, with_identity
from app.registration.models_table import decoded
from tests.support.columns import Floats
from topics.events import ModelEvent


def binary(n: int = 4000, seed: int = 1, curve: float = 1.0) -> tuple[dict[str, Floats], list[str], Floats, list[str]]:
    """Features, prediction, probability and truth of a model that is calibrated when curve is 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    p = 1.0 / (1.0 + np.exp(-1.5 * x))
    truth = rng.random(n) < p**curve
    return {"x": x}, np.where(p > 0.5, "yes", "no").tolist(), p, np.where(truth, "yes", "no").tolist()


def profile_of(n: int = 4000, seed: int = 1, curve: float = 1.0) -> Profile:
    features, prediction, p, truth = binary(n, seed, curve)
    return build_profile("m", "1", "binary", features, prediction, p, truth)


def test_arrays_are_numeric_and_sequences_categorical() -> None:
    profile = build_profile(
        "m", "1", "binary",
        {"age": np.array([1.0, np.nan]), "city": ["a", None], "flag": [True, False]},
        np.array([0.0, 1.0]),
    )  # fmt: skip
    assert [(c.name, c.kind, c.missing) for c in profile.features] == [
        ("age", "numeric", 1), ("city", "categorical", 1), ("flag", "categorical", 0),
    ]  # fmt: skip
    assert profile.features[2].categories == ("false", "true")
    assert profile.labels == profile.prediction.categories == ("0", "1")
    assert profile.probability is None
    assert profile.baseline == {}
    assert profile.profile_id
    assert profile == with_identity(profile)


def test_the_positive_label_comes_last() -> None:
    features, prediction, p, truth = binary(100)
    profile = build_profile("m", "1", "binary", features, prediction, p, truth, positive_label="no")
    assert profile.labels == ("yes", "no")
    assert profile.prediction.categories[:2] == ("yes", "no")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("a",)}, "labels"),
        ({"positive_label": "maybe"}, "positive_label"),
        ({"labels": ("a", "a")}, "labels"),
        ({"actual": ["yes"]}, "actual"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], message: str) -> None:
    features, prediction, p, truth = binary(10)
    arguments: dict[str, object] = {"actual": truth, **change}
    with pytest.raises(ValueError, match=message):
        build_profile("m", "1", "binary", features, prediction, p, **arguments)  # type: ignore[arg-type]


def test_the_baseline_is_what_the_outcome_pane_of_the_reference_says() -> None:
    profile = profile_of()
    _, prediction, p, truth = binary()
    layout = outcome_layout(profile)
    codes, actual = (np.array([v == "yes" for v in values]) for values in (prediction, truth))
    found = metrics_of(layout, outcome_pane(layout, codes.astype(np.int64), p, actual.astype(np.float64)))
    assert profile.baseline == {metric.name: metric.value for metric in found}


def test_a_profile_of_another_layout_has_another_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier release has registered gets the id of today's layout, so that its panes are not read."""
    profile = profile_of()
    with monkeypatch.context() as patch:
        patch.setattr("app.core.reference.profile.LAYOUT_VERSION", 1)
        old = with_identity(profile)
    assert old.profile_id != profile.profile_id
    event = ModelEvent(
        model="m", model_version="1", profile=msgspec.Raw(msgspec.json.encode(old)),
        monitoring=msgspec.Raw(msgspec.json.encode(Monitoring())), registered_at=datetime(2024, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    registered = decoded(event)
    assert registered is not None
    assert registered.profile == profile


def test_multiclass_and_regression_have_a_baseline() -> None:
    three = build_profile("m", "1", "multiclass", {}, ["a", "b", "c"], None, ["a", "b", "b"])
    assert set(three.baseline) == {"accuracy", "macro_f1", "macro_precision", "macro_recall"}
    assert three.estimated_baseline == {}
    line = build_profile("m", "1", "regression", {}, np.array([1.0, 2.0, 3.0]), None, [1.0, 2.5, None])
    assert line.labels == ()
    assert line.baseline["mae"] == pytest.approx(0.25, abs=1e-5)


probabilities = arrays.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1) | st.sampled_from([0.2, 0.5]))


@given(probabilities, st.randoms(use_true_random=False))
def test_calibration_equals_scikit_learns_isotonic_regression(p: Floats, random: object) -> None:
    truth = np.array([random.randint(0, 1) for _ in p])  # type: ignore[attr-defined]
    profile = replace(profile_of(50), calibration=calibration_of(p, truth))
    expected = IsotonicRegression(out_of_bounds="clip").fit(p, truth)
    distinct = np.unique(p)
    if len(distinct) > 1 and np.diff(distinct).min() < 1e-9:
        return  # scikit-learn merges points that are this close
    at = np.concatenate([p, np.linspace(0, 1, 21)])
    assert np.allclose(calibrated(profile, at), expected.predict(at), atol=1e-9)
    assert np.all(np.diff([x for x, _ in profile.calibration]) > 0)


def test_a_multiclass_models_confidence_lets_expect_its_accuracy() -> None:
    rng = np.random.default_rng(8)
    confidence = rng.random(4000).round(3)
    prediction = rng.choice(["a", "b", "c"], 4000)
    right = rng.random(4000) < confidence**2  # it is too sure of itself
    truth = np.where(right, prediction, np.where(prediction == "a", "b", "a"))
    profile = build_profile("m", "1", "multiclass", {}, prediction.tolist(), confidence, truth.tolist())
    assert profile.estimated_baseline == {"accuracy": pytest.approx(profile.baseline["accuracy"], abs=1e-5)}

    now = np.where(np.arange(4000) % 4 == 0, np.nan, confidence / 2)  # less sure; a quarter says nothing
    layout = layout_of(profile)
    (found,) = estimated_metrics(layout, input_pane(layout, {}, prediction.tolist(), now))
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(confidence, right)
    assert found.name == "accuracy"
    assert found.value == pytest.approx(isotonic.predict(now[~np.isnan(now)]).mean(), abs=1e-5)
    (nothing,) = estimated_metrics(layout, input_pane(layout, {}, prediction.tolist(), np.full(4000, np.nan)))
    assert nothing.value is None


def test_a_regression_has_no_estimate() -> None:
    line = build_profile("m", "1", "regression", {}, np.array([1.0, 2.0]), np.array([0.5, 0.6]), [1.0, 2.5])
    layout = layout_of(line)
    assert line.estimated_baseline == {}
    assert estimated_metrics(layout, input_pane(layout, {}, [1.0], [0.5])) == ()


def test_without_calibration_a_probability_stays_as_it_is() -> None:
    p = np.array([0.1, np.nan, 0.9])
    assert np.array_equal(calibrated(replace(profile_of(50), calibration=()), p), p, equal_nan=True)


def test_the_reference_expects_its_own_performance() -> None:
    profile = profile_of(curve=2.0)
    features, prediction, p, _ = binary(curve=2.0)
    layout = layout_of(profile)
    found = {m.name: m.value for m in estimated_metrics(layout, input_pane(layout, features, prediction, p))}
    assert found == profile.estimated_baseline
    for name, value in profile.estimated_baseline.items():
        assert value == pytest.approx(profile.baseline[name], abs=0.01)


@pytest.mark.parametrize("curve", [1.0, 3.0])
def test_expected_performance_is_near_the_realised_one_on_new_rows(curve: float) -> None:
    layout = layout_of(profile_of(20_000, curve=curve))
    features, prediction, p, truth = binary(20_000, seed=2, curve=curve)
    expected = {m.name: m.value for m in estimated_metrics(layout, input_pane(layout, features, prediction, p))}
    accuracy = np.mean([a == b for a, b in zip(prediction, truth, strict=True)])
    assert expected["accuracy"] == pytest.approx(accuracy, abs=0.015)


def test_rows_without_probability_do_not_bend_the_expectation() -> None:
    layout = layout_of(profile_of())
    features, prediction, p, _ = binary(4000, seed=3)
    whole = estimated_metrics(layout, input_pane(layout, features, prediction, p))
    p[::4] = np.nan
    partial = estimated_metrics(layout, input_pane(layout, features, prediction, p))
    for a, b in zip(whole, partial, strict=True):
        assert a.value == pytest.approx(b.value, abs=0.02)


def test_nothing_is_expected_without_a_probability() -> None:
    features, prediction, _, truth = binary(50)
    layout = layout_of(build_profile("m", "1", "binary", features, prediction, None, truth))
    assert estimated_metrics(layout, input_pane(layout, features, prediction)) == ()
