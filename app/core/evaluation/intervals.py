"""Sampling error: confidence intervals of the metrics. Each function returns None where its interval is undefined."""

from __future__ import annotations

from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

Interval = tuple[float, float] | None


def z_of(confidence: float) -> float:
    """Return the half-width of a two-sided normal interval, in standard deviations: 1.96 for 0.95."""
    return float(special.ndtri(0.5 + confidence / 2.0))


def deviations(chance: float) -> float:
    """Return the standard deviations that a normal value exceeds, on one side, with this chance: 3.09 for 0.001."""
    return float(-special.ndtri(chance))


def wilson(successes: float, n: float, z: float) -> Interval:
    """Return the interval of a share (Wilson 1927). The counts may be expected ones, not whole."""
    if n <= 0.0:
        return None
    share = successes / n
    centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n)
    half = z / (1.0 + z * z / n) * sqrt(max(share * (1.0 - share), 0.0) / n + z * z / (4.0 * n * n))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def f1_interval(tp: float, wrong: float, z: float) -> Interval:
    """Return the interval of F1 = 2J/(1+J), which rises with J = tp/(tp+fp+fn).

    J is a share of the rows that are positive in either sense. So the interval is the image of J's Wilson interval;
    to first order this is the same as the delta method.
    """
    share = wilson(tp, tp + wrong, z)
    return None if share is None else (2.0 * share[0] / (1.0 + share[0]), 2.0 * share[1] / (1.0 + share[1]))


def macro_f1_interval(value: float, confusion: NDArray[np.int64], classes: int, z: float) -> Interval:
    """Return the interval of macro F1 by the delta method over the multinomial cells.

    Source: Takahashi et al., Appl. Intell. 52, 2022. The mean is over `classes` classes.
    """
    if not classes:
        return None
    support = (confusion.sum(axis=0) + confusion.sum(axis=1)).astype(np.float64)
    hits = np.diag(confusion).astype(np.float64)
    safe = np.where(support > 0, support, 1.0)
    off = -2.0 * hits / safe**2  # change of a class's F1 by one more wrong row
    gradient = off[:, None] + off[None, :]
    np.fill_diagonal(gradient, 2.0 * (support - 2.0 * hits) / safe**2)
    return normal(value, sqrt(float((confusion * gradient**2).sum())) / classes, z, 0.0, 1.0)


def macro_share_interval(value: float, confusion: NDArray[np.int64], classes: int, z: float) -> Interval:
    """Return the interval of macro precision by the same method.

    Each class's hits are a share of its column's counts. For macro recall pass the transposed confusion.
    """
    if not classes:
        return None
    column = confusion.sum(axis=0).astype(np.float64)
    hits = np.diag(confusion).astype(np.float64)
    safe = np.where(column > 0, column, 1.0)
    gradient = np.repeat((-hits / safe**2)[None, :], len(hits), axis=0)
    np.fill_diagonal(gradient, (column - hits) / safe**2)
    return normal(value, sqrt(float((confusion * gradient**2).sum())) / classes, z, 0.0, 1.0)


def auc_interval(auc: float, positives: float, negatives: float, z: float) -> Interval:
    """Return the interval of ROC AUC (Hanley & McNeil, Radiology 143, 1982)."""
    if positives <= 0.0 or negatives <= 0.0:
        return None
    one, two = auc / (2.0 - auc), 2.0 * auc * auc / (1.0 + auc)
    square = auc * auc
    spread = auc * (1.0 - auc) + (positives - 1.0) * (one - square) + (negatives - 1.0) * (two - square)
    return normal(auc, sqrt(max(spread, 0.0) / (positives * negatives)), z, 0.0, 1.0)


def average_precision_interval(value: float, positives: float, z: float) -> Interval:
    """Return the interval of average precision, on the scale of its log odds.

    Source: Boyd, Eng & Page, ECML PKDD 2013, the logit interval.
    """
    if positives < 2.0:
        return None
    if not 0.0 < value < 1.0:
        return wilson(value * positives, positives, z)
    odds = special.logit(value)
    error = 1.0 / sqrt(positives * value * (1.0 - value))
    return float(special.expit(odds - z * error)), float(special.expit(odds + z * error))


def mean_interval(mean: float, variance: float, n: float, z: float) -> Interval:
    """Return the interval of a mean of values that are not negative, from the variance of one value."""
    return normal(mean, sqrt(max(variance, 0.0) / n), z, 0.0) if n >= 2.0 else None


def rmse_interval(rmse: float, n: float, z: float) -> Interval:
    """Return the interval of RMSE as if the errors were normal: log RMSE has a standard error of about 1/sqrt(2n)."""
    return (rmse * exp(-z / sqrt(2.0 * n)), rmse * exp(z / sqrt(2.0 * n))) if n >= 2.0 else None


def r2_interval(r2: float, n: float, z: float) -> Interval:
    """Return the interval of R^2: 1 - R^2 is a ratio of two variances.

    Both are taken as normal and independent, so that the interval is rather too wide.
    """
    if n < 2.0:
        return None
    factor = exp(2.0 * z / sqrt(n))
    return 1.0 - (1.0 - r2) * factor, min(1.0, 1.0 - (1.0 - r2) / factor)


def normal(value: float, error: float, z: float, low: float, high: float = float("inf")) -> Interval:
    """Return a symmetric interval from a standard error, cut to the metric's range."""
    return max(low, value - z * error), min(high, value + z * error)
