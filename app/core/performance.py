"""Realised performance: the metrics of an outcome pane, each with its sampling error."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from app.core import intervals
from app.core.findings import ClassMetrics
from app.core.intervals import Interval
from app.core.layout import FIXED_POINT, Floats, Integers
from app.core.outcome import SCORE_BINS, SMALLEST, OutcomeLayout
from app.core.pane import Pane

LOSSES = frozenset({"log_loss", "brier", "mae", "rmse"})
"""Metrics of which less is better."""
ROUNDING = 0.5 / FIXED_POINT
"""The largest error that fixed point adds to a mean."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's value (None where undefined), what counting in bins and fixed point may add, its interval."""

    name: str
    value: float | None
    error_bound: float = 0.0
    interval: Interval = None


def metrics_of(layout: OutcomeLayout, pane: Pane, confidence: float = 0.95) -> tuple[Metric, ...]:
    """The metrics of an outcome pane in a fixed order; None values where there is nothing to judge.

    Binary: accuracy, precision, recall, f1 (equal to scikit-learn with `zero_division=0` and `labels[1]`
    positive), roc_auc, log_loss, brier (these need a probability). Multiclass: accuracy, macro_f1,
    macro_precision, macro_recall. Regression: mae, rmse (in the prediction's units), r2.
    """
    z = intervals.z_of(confidence)
    dense = pane.dense(layout.size)
    if layout.k == 0:
        return _regression(layout, pane.n - int(dense[layout.unknown]), pane.sums, z)
    confusion = confusion_of(layout, dense)
    if not layout.binary:
        return _multiclass(confusion, z)
    scored = layout.profile.probability is not None
    return (*_labels(confusion, z), *(_scores(layout, dense, pane.sums, z) if scored else ()))


def confusion_of(layout: OutcomeLayout, dense: Integers) -> Integers:
    """The confusion matrix, k x k: row actual, column predicted."""
    return dense[: layout.k * layout.k].reshape(layout.k, layout.k)


def judged(layout: OutcomeLayout, pane: Pane) -> int:
    """Rows of an outcome pane that can be judged."""
    return pane.n - int(pane.dense(layout.size)[layout.unknown])


def _labels(confusion: Integers, z: float) -> tuple[Metric, ...]:
    tn, fp, fn, tp = (int(count) for count in confusion.ravel())
    return binary_metrics(tn, fp, fn, tp, z)


def binary_metrics(
    tn: float, fp: float, fn: float, tp: float, z: float, error_bound: float = 0.0
) -> tuple[Metric, ...]:
    """Accuracy, precision, recall and f1 of confusion counts, which may be expected ones."""
    n = tn + fp + fn + tp
    if n <= 0:
        return tuple(Metric(name, None) for name in ("accuracy", "precision", "recall", "f1"))
    return (
        Metric("accuracy", (tn + tp) / n, error_bound, intervals.wilson(tn + tp, n, z)),
        Metric("precision", _share(tp, tp + fp), error_bound, intervals.wilson(tp, tp + fp, z)),
        Metric("recall", _share(tp, tp + fn), error_bound, intervals.wilson(tp, tp + fn, z)),
        Metric("f1", _share(2.0 * tp, (tp + fn) + (tp + fp)), error_bound, intervals.f1_interval(tp, fp + fn, z)),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _scores(layout: OutcomeLayout, dense: Integers, sums: Integers, z: float) -> tuple[Metric, ...]:
    negative = dense[layout.negative_scores].astype(np.float64)
    positive = dense[layout.positive_scores].astype(np.float64)
    negatives, positives = float(negative.sum()), float(positive.sum())
    n = negatives + positives
    if not n:
        return tuple(Metric(name, None) for name in ("roc_auc", "log_loss", "brier"))
    centre = (np.arange(SCORE_BINS) + 0.5) / SCORE_BINS
    log_loss, brier = float(sums[1]) / FIXED_POINT / n, float(sums[0]) / FIXED_POINT / n
    counts = np.concatenate([negative, positive])
    losses = -np.log(np.concatenate([1.0 - centre, centre]).clip(min=SMALLEST))
    squares = np.concatenate([centre, 1.0 - centre]) ** 2
    return (
        _auc(negative, positive, z),
        Metric("log_loss", log_loss, ROUNDING, intervals.mean_interval(log_loss, _variance(losses, counts), n, z)),
        Metric("brier", brier, ROUNDING, intervals.mean_interval(brier, _variance(squares, counts), n, z)),
    )


def _auc(negative: Floats, positive: Floats, z: float) -> Metric:
    """ROC AUC from the histograms: pairs in one bin count half, so at most half of them are wrong."""
    pairs = float(negative.sum() * positive.sum())
    if not pairs:
        return Metric("roc_auc", None)
    below = np.cumsum(negative) - negative
    tied = float(np.dot(positive, negative)) / pairs
    auc = min(1.0, float(np.dot(positive, below)) / pairs + tied / 2.0)
    return Metric(
        "roc_auc", auc, tied / 2.0, intervals.auc_interval(auc, float(positive.sum()), float(negative.sum()), z)
    )


def _variance(values: Floats, counts: Floats) -> float:
    """The variance of one row's loss, with every row at the middle of its bin."""
    n = counts.sum()
    mean = np.dot(values, counts) / n
    return float(np.dot((values - mean) ** 2, counts) / n)


def _multiclass(confusion: Integers, z: float) -> tuple[Metric, ...]:
    """Macro averages over the classes that occur, as scikit-learn has them without `labels`, `zero_division=0`."""
    n = int(confusion.sum())
    if not n:
        return tuple(Metric(name, None) for name in ("accuracy", "macro_f1", "macro_precision", "macro_recall"))
    hits = np.diag(confusion)
    actual, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    present = actual + predicted > 0
    right = int(hits.sum())
    macro_f1 = _macro(2 * hits, actual + predicted, present)
    precision, recall = _macro(hits, predicted, present), _macro(hits, actual, present)
    return (
        Metric("accuracy", right / n, 0.0, intervals.wilson(right, n, z)),
        Metric("macro_f1", macro_f1, 0.0, intervals.macro_f1_interval(macro_f1, confusion, present, z)),
        Metric("macro_precision", precision, 0.0, intervals.macro_share_interval(precision, confusion, present, z)),
        Metric("macro_recall", recall, 0.0, intervals.macro_share_interval(recall, confusion.T, present, z)),
    )


def _macro(part: Integers, whole: Integers, present: NDArray[np.bool_]) -> float:
    """The mean of shares over the classes that occur; a share of nothing is 0."""
    return float(np.mean(part[present] / np.maximum(whole[present], 1)))


def classes_of(confusion: Integers, labels: tuple[str, ...]) -> tuple[ClassMetrics, ...]:
    """Each class's own metrics (k x k counts: row actual, column predicted), in the order of the labels."""
    hits, actual, predicted = np.diag(confusion).tolist(), confusion.sum(axis=1), confusion.sum(axis=0)
    return tuple(
        ClassMetrics(
            label=label,
            actual=there,
            predicted=told,
            precision=hit / told if told else None,
            recall=hit / there if there else None,
            f1=2.0 * hit / (there + told) if there + told else None,
        )
        for label, hit, there, told in zip(labels, hits, actual.tolist(), predicted.tolist(), strict=True)
    )


def _regression(layout: OutcomeLayout, n: int, sums: Integers, z: float) -> tuple[Metric, ...]:
    if not n:
        return tuple(Metric(name, None) for name in ("mae", "rmse", "r2"))
    scale = layout.profile.prediction.scale
    absolute, square, y, y_square = (int(total) / FIXED_POINT / n for total in sums)
    mae, rmse = absolute * scale, sqrt(square) * scale
    spread = y_square - y * y
    r2 = 1.0 - square / spread if spread > ROUNDING else None
    return (
        Metric(
            "mae", mae, ROUNDING * scale,
            intervals.mean_interval(mae, (square - absolute * absolute) * scale * scale, n, z),
        ),
        Metric("rmse", rmse, sqrt(ROUNDING) * scale, intervals.rmse_interval(rmse, n, z)),
        Metric("r2", r2, 0.0, None if r2 is None else intervals.r2_interval(r2, n, z)),
    )  # fmt: skip
