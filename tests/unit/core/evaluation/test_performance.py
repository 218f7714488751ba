"""Metrics from outcome panes against scikit-learn on the raw rows."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from sys import float_info

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from sklearn import metrics as sklearn

from app.core.evaluation.metric import Metric
from app.core.evaluation.performance import classes_of, judged, left_out, metrics_of
from app.core.panes.changes import PaneChanges
from app.core.panes.labels import BUCKETS, INVALID
from app.core.panes.outcomes import OutcomeLayout, outcome_layout, outcome_pane, outcome_rows
from app.core.panes.pane import Pane, merge
from app.core.panes.sums import PaneShape, PaneSums
from app.core.reference.profile import Profile, Task, categorical_column, numeric_column

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def layout_for(
    task: Task, labels: tuple[str, ...] = ("no", "yes"), truth: Floats | None = None, scores: Floats | None = None
) -> OutcomeLayout:
    numeric = numeric_column("prediction", np.array([0.0, 2.0]) if truth is None else truth)
    scores = np.array([0.5]) if scores is None else scores
    return outcome_layout(
        Profile(
            model="m",
            model_version="1",
            task=task,
            features=(),
            prediction=numeric if task == "regression" else categorical_column("prediction", labels, labels),
            probability=numeric_column("probability", scores) if task == "binary" else None,
            labels=() if task == "regression" else labels,
            baseline={},
            estimated_baseline={},
            calibration=(),
            n=2,
        )
    )


BINARY = layout_for("binary")
THREE = layout_for("multiclass", ("a", "b", "c"))
NUMBERS = layout_for("regression")


def named(metrics: tuple[Metric, ...]) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


def nothing(n: int) -> Floats:
    return np.full(n, np.nan)


@st.composite
def outcomes(draw: st.DrawFn, labels: int = 2) -> tuple[Codes, Floats, Floats]:
    """Predicted codes (-1 none, from `labels` on unknown), probabilities (NaN none), actual codes (NaN none)."""
    n = draw(st.integers(0, 60))
    codes = st.integers(-1, labels - 1) | st.sampled_from([labels, labels + 1, labels + BUCKETS - 1])
    predicted = draw(arrays.arrays(np.int64, n, elements=codes))
    scores = st.floats(0, 1) | st.sampled_from([np.nan, 1.5, 0.25, 0.2501, 0.2502, 1e-9, 1.0000001e-9, 5e-324])
    value = draw(arrays.arrays(np.float64, n, elements=scores))
    actual = draw(arrays.arrays(np.float64, n, elements=codes.map(float) | st.just(np.nan)))
    return predicted, value, actual


def judged_rows(predicted: Codes, actual: Floats) -> NDArray[np.bool_]:
    return (predicted >= 0) & (actual >= 0)


@given(outcomes())
def test_label_metrics_equal_scikit_learn(rows: tuple[Codes, Floats, Floats]) -> None:
    predicted, _, actual = rows
    pane = outcome_pane(BINARY, *rows)
    found = named(metrics_of(BINARY, pane))
    known = judged_rows(predicted, actual)
    assert judged(BINARY, pane) == known.sum()
    assert sum(left_out(BINARY, pane).not_judged.values()) == (~known).sum()
    if not known.any():
        assert found["accuracy"].value is None
        assert found["f1"].value is None
        return
    truth, guess = actual[known].astype(int), predicted[known]
    assert found["accuracy"].value == sklearn.accuracy_score(truth, guess)
    for name, score in (
        ("precision", sklearn.precision_score), ("recall", sklearn.recall_score), ("f1", sklearn.f1_score),
    ):  # fmt: skip
        (wanted,) = score(truth, guess, labels=[1], average=None, zero_division=0)
        assert found[name].value == pytest.approx(wanted, abs=1e-15)


@given(outcomes())
def test_score_metrics_are_within_their_stated_bounds(rows: tuple[Codes, Floats, Floats]) -> None:
    predicted, value, actual = rows
    pane = outcome_pane(BINARY, *rows)
    found = named(metrics_of(BINARY, pane))
    scored = judged_rows(predicted, actual) & (actual < 2) & (value >= 0) & (value <= 1)
    assert sum(left_out(BINARY, pane).not_scored.values()) == (judged_rows(predicted, actual) & ~scored).sum()
    truth, p = actual[scored].astype(int), value[scored]
    if not len(truth):
        assert found["brier"].value is None
        return
    assert found["log_loss"].value == pytest.approx(sklearn.log_loss(truth, p, labels=[0, 1]), rel=1e-12)
    assert found["brier"].value == pytest.approx(float(((p - truth) ** 2).mean()), rel=1e-12, abs=1e-320)
    if not truth.any():
        assert found["average_precision"].value is None
        return
    assert found["average_precision"].value is not None
    difference = abs(found["average_precision"].value - sklearn.average_precision_score(truth, p))
    assert difference <= found["average_precision"].error_bound + 1e-9
    if truth.all():
        assert found["roc_auc"].value is None
        return
    assert found["roc_auc"].value is not None
    difference = abs(found["roc_auc"].value - sklearn.roc_auc_score(truth, p))
    assert difference <= found["roc_auc"].error_bound + 1e-12


@pytest.mark.parametrize("order", [1, -1])
def test_the_stated_bounds_are_reached_within_one_slot(order: int) -> None:
    p = np.nextafter(0.25013, 1.0) + np.arange(4)[::order] * 1e-9
    truth = np.array([0.0, 0.0, 1.0, 1.0])
    found = named(metrics_of(BINARY, outcome_pane(BINARY, np.zeros(4, np.int64), p, truth)))
    auc, precision = found["roc_auc"], found["average_precision"]
    assert auc.value is not None
    assert auc.error_bound == abs(auc.value - sklearn.roc_auc_score(truth, p)) == 0.5
    assert precision.value == 0.5
    assert precision.error_bound == 0.5  # 1.0 where the positives have the higher scores, 5/12 where the lower


SCALES: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "even": lambda rng, n: rng.random(n),
    "rare": lambda rng, n: 0.0004 / (1.0 + np.exp(-rng.normal(size=n))),
    "billionths": lambda rng, n: 1e-9 * rng.lognormal(size=n).clip(0.0, 1e8),
    "near one": lambda rng, n: 1.0 - 1e-7 * rng.lognormal(size=n).clip(0.0, 1e6),
    "both ends": lambda rng, n: 1.0 / (1.0 + np.exp(-rng.normal(0.0, 12.0, n))),
    "three decimals": lambda rng, n: np.round(rng.random(n), 3),
    "four decimals": lambda rng, n: np.round(rng.random(n), 4),
    "few": lambda rng, n: rng.choice([0.0, 0.125, 1.0 / 3.0, 0.5, 0.81, 1.0], n),
}
"""Scores of many scales, with and without ties."""


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("reference", [*SCALES, "constant", "none"])
def test_roc_auc_is_within_a_thousandth_of_scikit_learn_at_any_scale(scale: str, reference: str) -> None:
    rng = np.random.default_rng(5)
    before = {"constant": np.full(9, 0.37), "none": np.empty(0)}.get(reference)
    layout = layout_for("binary", scores=SCALES[reference](rng, 3000) if before is None else before)
    p = SCALES[scale](rng, 20_000)
    truth = (rng.random(20_000) < 0.03 + 0.2 * (p > np.quantile(p, 0.7))).astype(np.float64)
    found = named(metrics_of(layout, outcome_pane(layout, np.zeros(20_000, np.int64), p, truth)))
    auc, precision = found["roc_auc"], found["average_precision"]
    assert auc.value == pytest.approx(sklearn.roc_auc_score(truth, p), abs=min(1e-3, auc.error_bound + 1e-12))
    assert auc.error_bound < (5e-4 if scale == reference else 1e-2 if scale == "few" else 3e-3)
    assert precision.value is not None
    assert abs(precision.value - sklearn.average_precision_score(truth, p)) <= precision.error_bound + 1e-9
    assert precision.value == pytest.approx(sklearn.average_precision_score(truth, p), abs=1e-3)
    assert found["log_loss"].value == pytest.approx(sklearn.log_loss(truth, p), rel=1e-12)
    assert found["brier"].value == pytest.approx(sklearn.brier_score_loss(truth, p), rel=1e-12)


def test_scores_of_the_reference_are_ties_where_they_are_equal() -> None:
    """However few they are: nothing is unsure about their order."""
    rng = np.random.default_rng(3)
    known = rng.random(7)
    layout = layout_for("binary", scores=known)
    p, truth = rng.choice(known, 5000), (rng.random(5000) < 0.3).astype(np.float64)
    found = named(metrics_of(layout, outcome_pane(layout, np.zeros(5000, np.int64), p, truth)))
    assert found["roc_auc"].error_bound == found["average_precision"].error_bound == 0.0
    assert found["roc_auc"].value == pytest.approx(sklearn.roc_auc_score(truth, p), abs=1e-12)
    assert found["average_precision"].value == pytest.approx(sklearn.average_precision_score(truth, p), abs=1e-12)


@given(outcomes(3))
def test_multiclass_metrics_equal_scikit_learn(rows: tuple[Codes, Floats, Floats]) -> None:
    predicted, _, actual = rows
    pane = outcome_pane(THREE, *rows)
    found = named(metrics_of(THREE, pane))
    known = judged_rows(predicted, actual)
    assert judged(THREE, pane) == known.sum()
    if not known.any():
        assert found["macro_f1"].value is None
        return
    truth, guess = actual[known].astype(int), predicted[known]
    assert found["accuracy"].value == sklearn.accuracy_score(truth, guess)
    assert found["macro_f1"].value == pytest.approx(sklearn.f1_score(truth, guess, average="macro", zero_division=0))
    for name, score in (("macro_precision", sklearn.precision_score), ("macro_recall", sklearn.recall_score)):
        assert found[name].value == pytest.approx(score(truth, guess, average="macro", zero_division=0), abs=1e-12)
    for name, metric in found.items():
        assert metric.interval is not None, name
        assert metric.value is not None
        assert metric.interval[0] <= metric.value <= metric.interval[1]
    each = sklearn.precision_recall_fscore_support(truth, guess, labels=[0, 1, 2], zero_division=np.nan)
    for place, one in enumerate(classes_of(THREE, pane)):
        assert (one.label, one.actual, one.predicted) == ("abc"[place], each[3][place], (guess == place).sum())
        told = [np.nan if value is None else value for value in (one.precision, one.recall, one.f1)]
        assert np.allclose(told, [part[place] for part in each[:3]], equal_nan=True)


FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64) | st.floats(-10.0, 10.0)


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=30), st.data())
def test_regression_metrics_are_the_exact_ones(rows: list[tuple[float, float]], data: st.DataObject) -> None:
    """In rational numbers, row by row; the differences are those of doubles, as in scikit-learn."""
    guess, truth = np.array(rows).T
    cut = data.draw(st.integers(0, len(rows)))
    panes = [
        outcome_pane(NUMBERS, np.full(len(g), -1), g, t)
        for g, t in ((guess[:cut], truth[:cut]), (guess[cut:], truth[cut:]))
    ]
    pane = merge(panes, NUMBERS.size, NUMBERS.sums)
    found = named(metrics_of(NUMBERS, pane))
    with np.errstate(over="ignore"):
        errors = [Fraction(min(float(e), float_info.max)) for e in np.abs(truth - guess).tolist()]
    y, n = [Fraction(t) for t in truth.tolist()], len(rows)
    assert found["mae"].value == as_float(sum(errors, Fraction(0)) / n)
    assert found["rmse"].value is not None
    squares = sum((e * e for e in errors), Fraction(0)) / n
    rmse, least = Fraction(found["rmse"].value), Fraction(5e-324)  # below the least normal number only this is exact
    assert abs(rmse**2 - squares) <= squares * Fraction(1, 2**50) + 2 * rmse * least + least**2
    spread = sum(((t - sum(y, Fraction(0)) / n) ** 2 for t in y), Fraction(0))
    assert found["r2"].value == (as_float(1 - squares * n / spread) if spread else None)


def as_float(number: Fraction) -> float:
    """The nearest double, at most the largest."""
    try:
        return float(number)
    except OverflowError:
        return float_info.max if number > 0 else -float_info.max


HEAVY: dict[str, Callable[[np.random.Generator], tuple[Floats, Floats]]] = {
    "usual": lambda rng: (t := rng.normal(50.0, 12.0, 4000), t + rng.normal(1.0, 4.0, 4000)),
    "heavy tails": lambda rng: (rng.standard_cauchy(4000) ** 3, rng.standard_cauchy(4000)),
    "a constant predictor": lambda rng: (rng.normal(1.1e6, 2e5, 4000), np.full(4000, 1e6)),
    "far from zero": lambda rng: (1e9 + rng.normal(size=4000), 1e9 + rng.normal(size=4000)),
    "nearly constant": lambda rng: (-311026.0 - rng.integers(0, 2, 4000) / 1024, rng.normal(-311026.0, 0.1, 4000)),
    "tiny": lambda rng: (1e-150 * rng.normal(size=4000), np.zeros(4000)),
    "one is wide of the mark": lambda rng: (rng.normal(size=4000), np.where(np.arange(4000) == 7, 1e150, 0.0)),
}


@pytest.mark.parametrize("kind", HEAVY)
def test_regression_metrics_equal_scikit_learn(kind: str) -> None:
    truth, guess = HEAVY[kind](np.random.default_rng(6))
    found = named(metrics_of(NUMBERS, outcome_pane(NUMBERS, np.full(4000, -1), guess, truth)))
    assert found["mae"].value == pytest.approx(sklearn.mean_absolute_error(truth, guess), rel=1e-9)
    assert found["rmse"].value == pytest.approx(sklearn.root_mean_squared_error(truth, guess), rel=1e-9)
    assert found["r2"].value == pytest.approx(sklearn.r2_score(truth, guess), rel=1e-9)


def test_squares_beyond_all_doubles_are_still_squares() -> None:
    """Where scikit-learn's RMSE is infinite, ours is the true one; an R² beyond all doubles is the lowest one."""
    truth, guess = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0, 1e300])
    found = named(metrics_of(NUMBERS, outcome_pane(NUMBERS, np.full(4, -1), guess, truth)))
    assert found["mae"].value == pytest.approx(sklearn.mean_absolute_error(truth, guess), rel=1e-15)
    assert found["rmse"].value == pytest.approx(5e299, rel=1e-15)
    assert found["r2"].value == -float_info.max
    assert all(metric.interval is not None for metric in found.values())


def test_what_cannot_be_judged_is_counted_by_its_reason() -> None:
    guess, truth = np.array([np.inf, 1.0, np.nan, 2.0, 3.0, np.nan]), np.array([1.0, np.inf, 1.0, 2.0, np.nan, 1.0])
    pane = outcome_pane(NUMBERS, np.array([-1, -1, -1, -1, -1, INVALID]), guess, truth)
    assert judged(NUMBERS, pane) == 1
    reasons = {"missing prediction": 1, "invalid prediction": 2, "missing truth": 1, "invalid truth": 1}
    assert left_out(NUMBERS, pane).not_judged == reasons
    assert named(metrics_of(NUMBERS, pane))["mae"].value == 0.0
    labels = outcome_pane(BINARY, np.array([-1, INVALID, 0, 1, 1]), nothing(5), np.array([0.0, 0.0, -1.0, 2.0, 0.0]))
    assert left_out(BINARY, labels).not_judged == {"missing prediction": 1, "invalid prediction": 1, "missing truth": 1}
    assert left_out(BINARY, labels).not_scored == {"missing probability": 2}


TASKS = [("binary", BINARY), ("multiclass", THREE), ("regression", NUMBERS)]


@pytest.mark.parametrize(("task", "layout"), TASKS)
@given(st.data())
def test_a_correction_subtracts_exactly_what_it_replaces(
    task: Task, layout: OutcomeLayout, data: st.DataObject
) -> None:
    predicted, value, actual = data.draw(outcomes(max(layout.k, 2)))
    if task == "regression":
        value = data.draw(arrays.arrays(np.float64, len(value), elements=st.floats()))
        actual = data.draw(arrays.arrays(np.float64, len(value), elements=st.floats()))
    corrected = data.draw(st.permutations(actual.tolist()).map(lambda a: np.array(a, np.float64)))
    wanted = outcome_pane(layout, predicted, value, corrected)
    shape = PaneShape(layout.size, layout.sums, layout.limbs.stop - layout.limbs.start)
    changes, sums = PaneChanges(lambda _: shape), PaneSums(lambda _: shape)
    for truth, sign in ((actual, +1), (corrected, +1), (actual, -1)):
        rows = outcome_rows(layout, predicted, value, truth)
        number = changes.number(3, 7)
        changes.count_rows(np.full(rows.n, number), sign)
        changes.count_alone(number, rows.slots, sign)
        changes.add_sums(number, rows.sums()[0], sign)
        if data.draw(st.booleans()):
            sums.add(changes.take())
    sums.add(changes.take())
    assert sums[3, 7].same(wanted)


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
