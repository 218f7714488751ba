"""Realised performance: the metrics of an outcome pane, each with its sampling error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.evaluation import intervals
from app.core.evaluation.metric import Metric
from app.core.evaluation.score_metrics import score_metrics
from app.core.panes.exact_sums import SQUARE_LIMBS, SUM_LIMBS, UNIT, ratio, root, whole
from app.core.panes.outcomes import REASONS, SCORE_REASONS, OutcomeLayout
from app.core.panes.pane import Pane
from app.core.panes.unknown_labels import ACTUAL, PREDICTED
from app.core.reference.layout import FIXED_POINT, Integers
from topics.results import ClassMetrics

LOSSES = frozenset({"log_loss", "brier", "mae", "rmse"})
"""Metrics for which less is better."""
ROUNDING = 0.5 / FIXED_POINT
"""Largest error that fixed point adds to a mean."""


def metrics_of(layout: OutcomeLayout, pane: Pane, confidence: float = 0.95) -> tuple[Metric, ...]:
    """Return the metrics of an outcome pane in a fixed order; values are None where there is nothing to judge.

    Binary: accuracy; precision, recall, f1 of the positive label (`labels[1]`); and with a probability roc_auc,
    average_precision, log_loss, brier. Multiclass: accuracy, macro_f1, macro_precision, macro_recall. Regression:
    mae, rmse (in the prediction's units), r2. All equal scikit-learn's with `zero_division=0`, roc_auc and
    average_precision within their `error_bound`. A label that the reference does not have is one more class. A model
    of task `features` has no metrics.
    """
    if layout.profile.task == "features":
        return ()
    z = intervals.z_of(confidence)
    n = judged(layout, pane)
    if layout.k == 0:
        return _regression(n, pane.part(layout.limbs), z)
    if not layout.binary:
        return _multiclass(layout, pane, n, z)
    scores = () if layout.grid is None else score_metrics(layout, layout.grid, pane, z)
    return (*_binary(layout, pane, n, z), *scores)


def confusion_of(layout: OutcomeLayout, pane: Pane) -> Integers:
    """Return the confusion matrix of the known labels, k x k: row actual, column predicted."""
    return pane.part(layout.confusion).reshape(layout.k, layout.k)


def judged(layout: OutcomeLayout, pane: Pane) -> int:
    """Return how many rows of an outcome pane can be judged."""
    return pane.n - int(pane.part(layout.not_judged).sum())


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that enter no metric, or no metric of scores, by reason; unknown labels with their frequency."""

    not_judged: dict[str, int]
    not_scored: dict[str, int]
    unknown_actuals: dict[str, int]
    unknown_predictions: dict[str, int]


def left_out(layout: OutcomeLayout, pane: Pane) -> LeftOut:
    """Return the rows of an outcome pane that are not in its metrics, and its labels that are not in the reference."""
    reasons = (
        (REASONS, pane.part(layout.not_judged)), (SCORE_REASONS, pane.part(layout.not_scored)),
    )  # fmt: skip
    not_judged, not_scored = (
        {names[i]: int(count) for i, count in enumerate(counts.tolist()) if count} for names, counts in reasons
    )
    return LeftOut(not_judged, not_scored, dict(pane.names.get(ACTUAL, {})), dict(pane.names.get(PREDICTED, {})))


def shares_of(layout: OutcomeLayout, pane: Pane) -> dict[str, tuple[int, int]]:
    """Return the metrics that are shares, as successes and rows; for F1 the share of tp in tp + fp + fn."""
    n = judged(layout, pane)
    if layout.k == 0 or layout.profile.task == "features":
        return {}
    confusion = confusion_of(layout, pane)
    right = int(np.trace(confusion)) + int(pane.part(layout.unknown_right).sum())
    if not layout.binary:
        return {"accuracy": (right, n)}
    tp = int(confusion[1, 1])
    fn = int(confusion[1, 0]) + int(pane.part(layout.actual_alone)[1])
    fp = int(confusion[0, 1]) + int(pane.part(layout.predicted_alone)[1])
    return {
        "accuracy": (right, n), "precision": (tp, tp + fp), "recall": (tp, tp + fn), "f1": (tp, tp + fp + fn),
    }  # fmt: skip


def _binary(layout: OutcomeLayout, pane: Pane, n: int, z: float) -> tuple[Metric, ...]:
    """Return the metrics of a binary pane. An unknown truth or prediction counts as not positive."""
    confusion = confusion_of(layout, pane)
    (tn, fp), (fn, tp) = confusion.tolist()
    fn += int(pane.part(layout.actual_alone)[1])
    fp += int(pane.part(layout.predicted_alone)[1])
    if not n:
        return binary_metrics(0, 0, 0, 0, z)
    return (_accuracy(tn + tp + int(pane.part(layout.unknown_right).sum()), n, z), *_positive(tp, fp, fn, z))


def binary_metrics(
    tn: float, fp: float, fn: float, tp: float, z: float, error_bound: float = 0.0
) -> tuple[Metric, ...]:
    """Return accuracy, precision, recall and f1 of confusion counts, which may be expected ones."""
    n = tn + fp + fn + tp
    if n <= 0:
        return tuple(Metric(name, None) for name in ("accuracy", "precision", "recall", "f1"))
    return (_accuracy(tn + tp, n, z, error_bound), *_positive(tp, fp, fn, z, error_bound))


def _accuracy(right: float, n: float, z: float, error_bound: float = 0.0) -> Metric:
    return Metric("accuracy", right / n, error_bound, intervals.wilson(right, n, z))


def _positive(tp: float, fp: float, fn: float, z: float, error_bound: float = 0.0) -> tuple[Metric, ...]:
    return (
        Metric("precision", _share(tp, tp + fp), error_bound, intervals.wilson(tp, tp + fp, z)),
        Metric("recall", _share(tp, tp + fn), error_bound, intervals.wilson(tp, tp + fn, z)),
        Metric("f1", _share(2.0 * tp, (tp + fn) + (tp + fp)), error_bound, intervals.f1_interval(tp, fp + fn, z)),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _multiclass(layout: OutcomeLayout, pane: Pane, n: int, z: float) -> tuple[Metric, ...]:
    """Return macro averages over the classes that occur, as scikit-learn without `labels`, with `zero_division=0`."""
    if not n:
        return tuple(Metric(name, None) for name in ("accuracy", "macro_f1", "macro_precision", "macro_recall"))
    hits, actual, predicted = margins_of(layout, pane)
    strange = [pane.part(where) for where in (layout.unknown_right, layout.unknown_actual, layout.unknown_predicted)]
    all_hits, all_actual, all_predicted = (
        np.concatenate(pair) for pair in zip((hits, actual, predicted), strange, strict=True)
    )
    present = all_actual + all_predicted > 0
    classes, right = int(present.sum()), int(all_hits.sum())
    macro_f1 = _macro(2 * all_hits, all_actual + all_predicted, present)
    precision, recall = _macro(all_hits, all_predicted, present), _macro(all_hits, all_actual, present)
    cells = _with_strangers(layout, pane, n)
    return (
        _accuracy(right, n, z),
        Metric("macro_f1", macro_f1, 0.0, intervals.macro_f1_interval(macro_f1, cells, classes, z)),
        Metric("macro_precision", precision, 0.0, intervals.macro_share_interval(precision, cells, classes, z)),
        Metric("macro_recall", recall, 0.0, intervals.macro_share_interval(recall, cells.T, classes, z)),
    )


def _macro(part: Integers, whole: Integers, present: NDArray[np.bool_]) -> float:
    """Return the mean of shares over the classes that occur; a share of zero rows is 0."""
    return float(np.mean(part[present] / np.maximum(whole[present], 1)))


def _with_strangers(layout: OutcomeLayout, pane: Pane, n: int) -> Integers:
    """Return the confusion of the known labels and of all others as one class (k + 1 each way), for the intervals."""
    k = layout.k
    cells = np.zeros((k + 1, k + 1), np.int64)
    cells[:k, :k] = confusion_of(layout, pane)
    cells[:k, k], cells[k, :k] = pane.part(layout.actual_alone), pane.part(layout.predicted_alone)
    cells[k, k] = n - cells.sum()
    return cells


def margins_of(layout: OutcomeLayout, pane: Pane) -> tuple[Integers, Integers, Integers]:
    """Return for each known label the correct rows, its rows, and the rows predicted as it."""
    confusion = confusion_of(layout, pane)
    return (
        np.diag(confusion),
        confusion.sum(axis=1) + pane.part(layout.actual_alone),
        confusion.sum(axis=0) + pane.part(layout.predicted_alone),
    )


def classes_of(layout: OutcomeLayout, pane: Pane) -> tuple[ClassMetrics, ...]:
    """Return each known class's own metrics, in the order of the labels."""
    margins = (margin.tolist() for margin in margins_of(layout, pane))
    return tuple(
        ClassMetrics(
            label=label,
            actual=there,
            predicted=told,
            precision=hit / told if told else None,
            recall=hit / there if there else None,
            f1=2.0 * hit / (there + told) if there + told else None,
        )
        for label, hit, there, told in zip(layout.profile.labels, *margins, strict=True)
    )


def _regression(n: int, limbs: Integers, z: float) -> tuple[Metric, ...]:
    """Return the metrics of a regression from exact sums.

    The arithmetic uses whole numbers up to the last division, so that cancellation loses nothing. Where
    scikit-learn's squares overflow to infinity, these do not: rmse is the true one, and a value beyond all floats is
    the largest float. r2 is None where all truths are equal: there is no spread to explain.
    """
    if not n:
        return tuple(Metric(name, None) for name in ("mae", "rmse", "r2"))
    ends = np.cumsum([SUM_LIMBS, SQUARE_LIMBS, SUM_LIMBS])
    absolute, square, y, y_square = (whole(part) for part in np.split(limbs, ends))
    mae, rmse = ratio(absolute, n << UNIT), root(square, n << (2 * UNIT))
    error = root(n * square - absolute * absolute, (n * n * n) << (2 * UNIT))
    spread = n * y_square - y * y
    r2 = ratio(spread - n * square, spread) if spread else None
    return (
        Metric("mae", mae, 0.0, intervals.normal(mae, error, z, 0.0) if n > 1 else None),
        Metric("rmse", rmse, 0.0, intervals.rmse_interval(rmse, n, z)),
        Metric("r2", r2, 0.0, None if r2 is None else intervals.r2_interval(r2, n, z)),
    )


__all__ = [
    "LOSSES",
    "ROUNDING",
    "LeftOut",
    "Metric",
    "binary_metrics",
    "classes_of",
    "confusion_of",
    "judged",
    "left_out",
    "margins_of",
    "metrics_of",
    "shares_of",
]
