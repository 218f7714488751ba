"""Performance before the truth arrives: confidence-based estimation (CBPE, as in NannyML).

A calibrated probability is the chance that the model is right. So the confusion counts can be estimated without
labels, as long as the relation of inputs and truth is the reference's. A multiclass model's confidence is the
probability of the class that it predicts; its accuracy is estimated from this in the same way.
"""

from __future__ import annotations

import numpy as np

from app.core.evaluation import intervals
from app.core.evaluation.metric import Metric
from app.core.evaluation.performance import ROUNDING, binary_metrics
from app.core.panes.pane import Pane
from app.core.reference.layout import FIXED_POINT, Floats, Integers, Layout
from app.core.reference.profile import Profile

Points = tuple[tuple[float, float], ...]


def calibration_of(probability: Floats, positive: Integers) -> Points:
    """Return the points of a monotone calibration (n probabilities, n truths 0 or 1), for linear interpolation.

    Isotonic regression (scipy's, pool adjacent violators) over the distinct probabilities. Of each level only its
    first and its last point is kept. Returns an empty tuple without rows.
    """
    from scipy.optimize import isotonic_regression  # at module level it would take a sixth of a worker's start

    if not len(probability):
        return ()
    x, row, weights = np.unique(probability, return_inverse=True, return_counts=True)
    share = np.bincount(row, weights=positive) / weights
    y = isotonic_regression(share, weights=weights).x
    first = np.concatenate([[True], y[1:] != y[:-1]])
    last = np.concatenate([first[1:], [True]])
    kept = first | last
    return tuple(zip(x[kept].tolist(), y[kept].tolist(), strict=True))


def calibrated(profile: Profile, p: Floats) -> Floats:
    """Return calibrated probabilities. NaN stays NaN; beyond the calibration's points the nearest one applies."""
    if not profile.calibration:
        return p
    points = np.array(profile.calibration, np.float64)
    return np.interp(p, points[:, 0], points[:, 1])


def estimation_sums(profile: Profile, predicted: Integers, probability: Floats) -> Integers:
    """Return each row's share of the last two sums of an input pane (n x 2).

    It is the calibrated probability in fixed point, in the column of the predicted label (codes 0 and 1; -1 in
    neither).
    """
    mass = np.clip(np.nan_to_num(calibrated(profile, probability)), 0.0, 1.0)
    fixed = np.rint(mass * FIXED_POINT).astype(np.int64)
    return np.column_stack([np.where(predicted == label, fixed, 0) for label in (0, 1)])


def estimated_metrics(layout: Layout, pane: Pane, confidence: float = 0.95) -> tuple[Metric, ...]:
    """Return the expected accuracy, precision, recall and f1 of an input pane of a binary model with a probability.

    For a multiclass model accuracy alone: its confidence is the chance that the predicted class is right, and says
    nothing of the other classes. Nothing for a regression, which has no confidence.
    """
    if layout.probability is None or layout.profile.task == "regression":
        return ()
    if layout.profile.task == "multiclass":
        return expected_accuracy(int(pane.sums[-2]), int(pane.sums[-1]), confidence)
    start, probability = layout.prediction.offset, layout.probability
    dense = pane.dense(layout.size)
    absent = int(dense[probability.offset + probability.missing] + dense[probability.offset + probability.invalid])
    return expected_metrics(dense[start : start + 2], pane.sums[-2:], 1.0 - absent / max(pane.n, 1), confidence)


def expected_metrics(
    predicted: Integers, mass: Integers, coverage: float = 1.0, confidence: float = 0.95
) -> tuple[Metric, ...]:
    """Return the expected metrics from the counts of both predicted labels and the probability mass under each.

    `coverage` is the share of rows with a probability, assumed to be the same under both labels. The intervals are
    those of as many labelled rows: a bound, since expected counts vary less than drawn ones.
    """
    negative, positive = (float(count) * coverage for count in predicted)
    fn, tp = (min(float(m) / FIXED_POINT, n) for m, n in zip(mass, (negative, positive), strict=True))
    return binary_metrics(negative - fn, positive - tp, fn, tp, intervals.z_of(confidence), error_bound=ROUNDING)


def expected_accuracy(mass: int, n: int, confidence: float = 0.95) -> tuple[Metric, ...]:
    """Return the expected accuracy of n predictions whose calibrated confidences sum to `mass` (fixed point)."""
    if not n:
        return (Metric("accuracy", None),)
    right = min(mass / FIXED_POINT, float(n))
    return (Metric("accuracy", right / n, ROUNDING, intervals.wilson(right, n, intervals.z_of(confidence))),)
