"""Metrics from outcome panes against scikit-learn on the raw rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from sklearn import metrics as sklearn

from app.core.outcome import OutcomeLayout, outcome_layout, outcome_pane, outcome_slots
from app.core.pane import Pane, merge
from app.core.performance import ROUNDING, Metric, classes_of, confusion_of, metrics_of
from app.core.profile import Profile, Task, categorical_column, numeric_column

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def layout_for(task: Task, labels: tuple[str, ...] = ("no", "yes"), truth: Floats | None = None) -> OutcomeLayout:
    numeric = numeric_column("prediction", np.array([0.0, 2.0]) if truth is None else truth)
    return outcome_layout(
        Profile(
            model="m",
            model_version="1",
            task=task,
            features=(),
            prediction=numeric if task == "regression" else categorical_column("prediction", labels, labels),
            probability=numeric_column("probability", np.array([0.5])) if task == "binary" else None,
            labels=() if task == "regression" else labels,
            baseline={},
            estimated_baseline={},
            calibration=(),
            n=2,
        )
    )


BINARY = layout_for("binary")
THREE = layout_for("multiclass", ("a", "b", "c"))


def named(metrics: tuple[Metric, ...]) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


def nothing(n: int) -> Floats:
    return np.full(n, np.nan)


@st.composite
def outcomes(draw: st.DrawFn, labels: int = 2) -> tuple[Codes, Floats, Floats]:
    """Predicted codes (-1 unknown), probabilities (NaN none), actual codes (NaN unknown)."""
    n = draw(st.integers(0, 60))
    predicted = draw(arrays.arrays(np.int64, n, elements=st.integers(-1, labels - 1)))
    value = draw(
        arrays.arrays(
            np.float64, n, elements=st.floats(0, 1) | st.just(np.nan) | st.sampled_from([0.25, 0.2501, 0.2502, 0.2503])
        )
    )
    actual = draw(arrays.arrays(np.float64, n, elements=st.sampled_from([*map(float, range(labels)), np.nan])))
    return predicted, value, actual


@given(outcomes())
def test_label_metrics_equal_scikit_learn(rows: tuple[Codes, Floats, Floats]) -> None:
    predicted, _, actual = rows
    found = named(metrics_of(BINARY, outcome_pane(BINARY, *rows)))
    known = (predicted >= 0) & ~np.isnan(actual)
    if not known.any():
        assert found["accuracy"].value is None
        assert found["f1"].value is None
        return
    truth, guess = actual[known].astype(int), predicted[known]
    assert found["accuracy"].value == sklearn.accuracy_score(truth, guess)
    assert found["precision"].value == sklearn.precision_score(truth, guess, zero_division=0)
    assert found["recall"].value == sklearn.recall_score(truth, guess, zero_division=0)
    assert found["f1"].value == sklearn.f1_score(truth, guess, zero_division=0)


@given(outcomes())
def test_score_metrics_are_within_their_stated_bounds(rows: tuple[Codes, Floats, Floats]) -> None:
    predicted, value, actual = rows
    found = named(metrics_of(BINARY, outcome_pane(BINARY, *rows)))
    scored = (predicted >= 0) & ~np.isnan(actual) & ~np.isnan(value)
    truth, p = actual[scored].astype(int), value[scored]
    if not len(truth):
        assert found["brier"].value is None
        return
    losses = -np.log(np.where(truth == 1, p, 1 - p).clip(1e-15))
    assert found["log_loss"].value == pytest.approx(losses.mean(), abs=ROUNDING + 1e-9)
    assert found["brier"].value == pytest.approx(float(((p - truth) ** 2).mean()), abs=ROUNDING + 1e-12)
    if len(set(truth.tolist())) < 2:
        assert found["roc_auc"].value is None
        return
    assert found["roc_auc"].value is not None
    difference = abs(found["roc_auc"].value - sklearn.roc_auc_score(truth, p))
    assert difference <= found["roc_auc"].error_bound + 1e-12


@pytest.mark.parametrize("order", [1, -1])
def test_the_stated_bound_of_roc_auc_is_reached_within_one_bin(order: int) -> None:
    p = np.array([0.2501, 0.2502, 0.2503, 0.2504])[::order]
    truth = np.array([0.0, 0.0, 1.0, 1.0])
    auc = named(metrics_of(BINARY, outcome_pane(BINARY, np.zeros(4, np.int64), p, truth)))["roc_auc"]
    assert auc.value is not None
    assert auc.error_bound == abs(auc.value - sklearn.roc_auc_score(truth, p)) == 0.5


def test_score_metrics_equal_scikit_learn_on_many_rows() -> None:
    rng = np.random.default_rng(5)
    p = rng.random(20_000)
    truth = (rng.random(20_000) < p).astype(np.float64)
    found = named(metrics_of(BINARY, outcome_pane(BINARY, (p > 0.5).astype(np.int64), p, truth)))
    assert found["log_loss"].value == pytest.approx(sklearn.log_loss(truth, p), abs=1e-6)
    assert found["brier"].value == pytest.approx(sklearn.brier_score_loss(truth, p), abs=1e-6)
    assert found["roc_auc"].value == pytest.approx(sklearn.roc_auc_score(truth, p), abs=found["roc_auc"].error_bound)
    assert found["roc_auc"].error_bound < 3e-4


@given(outcomes(3))
def test_multiclass_metrics_equal_scikit_learn(rows: tuple[Codes, Floats, Floats]) -> None:
    predicted, _, actual = rows
    found = named(metrics_of(THREE, outcome_pane(THREE, *rows)))
    known = (predicted >= 0) & ~np.isnan(actual)
    if not known.any():
        assert found["macro_f1"].value is None
        return
    truth, guess = actual[known].astype(int), predicted[known]
    assert found["accuracy"].value == sklearn.accuracy_score(truth, guess)
    assert found["macro_f1"].value == sklearn.f1_score(truth, guess, average="macro", zero_division=0)
    for name, score in (("macro_precision", sklearn.precision_score), ("macro_recall", sklearn.recall_score)):
        assert found[name].value == pytest.approx(score(truth, guess, average="macro", zero_division=0), abs=1e-12)
    confusion = confusion_of(THREE, outcome_pane(THREE, *rows).dense(THREE.size))
    each = sklearn.precision_recall_fscore_support(truth, guess, labels=[0, 1, 2], zero_division=np.nan)
    for place, one in enumerate(classes_of(confusion, ("a", "b", "c"))):
        assert (one.label, one.actual, one.predicted) == ("abc"[place], each[3][place], (guess == place).sum())
        told = [np.nan if value is None else value for value in (one.precision, one.recall, one.f1)]
        assert np.allclose(told, [part[place] for part in each[:3]], equal_nan=True)


def test_regression_metrics_equal_scikit_learn() -> None:
    rng = np.random.default_rng(6)
    truth = rng.normal(50.0, 12.0, 4000)
    guess = truth + rng.normal(1.0, 4.0, 4000)
    layout = layout_for("regression", truth=truth)
    found = named(metrics_of(layout, outcome_pane(layout, np.full(4000, -1), guess, truth)))
    assert found["mae"].value == pytest.approx(sklearn.mean_absolute_error(truth, guess), rel=1e-5)
    assert found["rmse"].value == pytest.approx(sklearn.root_mean_squared_error(truth, guess), rel=1e-5)
    assert found["r2"].value == pytest.approx(sklearn.r2_score(truth, guess), abs=1e-5)


def test_an_infinite_prediction_is_a_large_error_and_an_unusable_truth_is_none() -> None:
    layout = layout_for("regression")
    pane = outcome_pane(layout, np.full(4, -1), np.array([np.inf, 1.0, np.nan, 2.0]), np.array([1.0, np.inf, 1.0, 2.0]))
    assert pane.dense(layout.size)[layout.unknown] == 2
    mae = named(metrics_of(layout, pane))["mae"].value
    assert mae is not None
    assert mae == pytest.approx(512.0)


TASKS = [("binary", BINARY), ("multiclass", THREE), ("regression", layout_for("regression"))]


@pytest.mark.parametrize(("task", "layout"), TASKS)
@given(st.data())
def test_a_correction_subtracts_exactly_what_it_replaces(
    task: Task, layout: OutcomeLayout, data: st.DataObject
) -> None:
    predicted, value, actual = data.draw(outcomes(max(layout.k, 2)))
    corrected = data.draw(st.permutations(actual.tolist()).map(lambda a: np.array(a, np.float64)))
    before, after = (outcome_pane(layout, predicted, value, truth) for truth in (actual, corrected))
    slots, sums = outcome_slots(layout, predicted, value, actual)
    dense = before.dense(layout.size) - np.bincount(slots[slots >= 0], minlength=layout.size)
    slots, plus = outcome_slots(layout, predicted, value, corrected)
    dense += np.bincount(slots[slots >= 0], minlength=layout.size)
    mended = Pane.of(before.n, dense, before.sums - sums.sum(axis=0) + plus.sum(axis=0))
    assert mended.same(after)


@given(outcomes(), st.permutations(range(60)))
def test_a_row_counts_the_same_in_any_company(rows: tuple[Codes, Floats, Floats], order: list[int]) -> None:
    n = len(rows[0])
    picked = [i for i in order if i < n]
    a, b = picked[: n // 2], picked[n // 2 :]
    predicted, value, actual = rows
    halves = [outcome_pane(BINARY, predicted[half], value[half], actual[half]) for half in (a, b)]
    assert merge(halves, BINARY.size, BINARY.sums).same(outcome_pane(BINARY, *rows))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(11)
    population = rng.random(400_000)
    truth = (rng.random(400_000) < population).astype(np.float64)
    guess = (population > 0.4).astype(np.int64)
    true_values = named(metrics_of(BINARY, outcome_pane(BINARY, guess, population, truth)))
    held = dict.fromkeys(true_values, 0)
    for _ in range(300):
        rows = rng.integers(0, 400_000, 500)
        for name, metric in named(
            metrics_of(BINARY, outcome_pane(BINARY, guess[rows], population[rows], truth[rows]))
        ).items():
            true = true_values[name].value
            assert metric.interval is not None
            assert true is not None
            held[name] += metric.interval[0] <= true <= metric.interval[1]
    assert {name: count for name, count in held.items() if not 0.9 <= count / 300 <= 1.0} == {}


def test_macro_and_regression_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(12)
    layout = layout_for("regression", truth=rng.normal(size=1000))
    true_macro, held = None, dict.fromkeys(("macro_f1", "macro_precision", "macro_recall", "mae", "rmse", "r2"), 0)
    truth = rng.integers(0, 3, 200_000)
    guess = np.where(rng.random(200_000) < 0.3, rng.integers(0, 3, 200_000), truth)
    y = rng.normal(size=200_000)
    p = y + rng.normal(0.2, 0.5, 200_000)
    true_macro = named(metrics_of(THREE, outcome_pane(THREE, guess, nothing(200_000), truth.astype(float))))
    true = {**true_macro, **named(metrics_of(layout, outcome_pane(layout, np.full(200_000, -1), p, y)))}
    for _ in range(300):
        rows = rng.integers(0, 200_000, 400)
        found = {
            **named(metrics_of(THREE, outcome_pane(THREE, guess[rows], nothing(400), truth[rows].astype(float)))),
            **named(metrics_of(layout, outcome_pane(layout, np.full(400, -1), p[rows], y[rows]))),
        }
        for name in held:
            interval, value = found[name].interval, true[name].value
            assert interval is not None
            assert value is not None
            held[name] += interval[0] <= value <= interval[1]
    assert {name: count for name, count in held.items() if count / 300 < 0.9} == {}


def test_undefined_metrics_have_no_interval() -> None:
    found = named(metrics_of(BINARY, outcome_pane(BINARY, np.zeros(3, np.int64), nothing(3), np.zeros(3))))
    assert found["precision"] == Metric("precision", 0.0, 0.0, None)
    assert found["recall"].interval is None
    assert found["roc_auc"].value is None
    assert all(m.value is None for m in metrics_of(BINARY, Pane.empty(BINARY.sums)))
