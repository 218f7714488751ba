"""Metrics of a binary model's probabilities, from the counts of scores and from exact sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.evaluation import intervals
from app.core.evaluation.metric import Metric
from app.core.panes.exact_sums import UNIT, ratio, whole
from app.core.panes.outcomes import SMALLEST, OutcomeLayout
from app.core.panes.pane import Pane
from app.core.panes.score_grid import ScoreGrid
from app.core.reference.layout import Floats

NAMES = ("roc_auc", "average_precision", "log_loss", "brier")
"""The metrics of scores, in their order."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The slots that have scores, ascending: rows of each class, whether all scores are equal, and one score."""

    negative: Floats
    positive: Floats
    exact: NDArray[np.bool_]
    middle: Floats


def scored(layout: OutcomeLayout, grid: ScoreGrid, pane: Pane) -> Scored:
    """Return the scores of an outcome pane."""
    counts = np.stack([pane.part(layout.negative_scores), pane.part(layout.positive_scores)])
    slots = np.flatnonzero(counts.any(axis=0))
    negative, positive = counts[:, slots].astype(np.float64)
    return Scored(negative, positive, grid.exact[slots], grid.middle[slots])


def score_metrics(layout: OutcomeLayout, grid: ScoreGrid, pane: Pane, z: float) -> tuple[Metric, ...]:
    """Return ROC AUC, average precision, log loss and Brier score of an outcome pane; None values without scores."""
    scores = scored(layout, grid, pane)
    n = int(scores.negative.sum() + scores.positive.sum())
    if not n:
        return tuple(Metric(name, None) for name in NAMES)
    sums = np.split(pane.part(layout.limbs), 2)
    brier, log_loss = (ratio(whole(limbs), n << UNIT) for limbs in sums)
    counts = np.concatenate([scores.negative, scores.positive])
    given = np.concatenate([1.0 - scores.middle, scores.middle])
    losses = -np.log(given.clip(SMALLEST, 1.0 - SMALLEST))
    return (
        roc_auc(scores, z),
        average_precision(scores, z),
        Metric("log_loss", log_loss, 0.0, intervals.mean_interval(log_loss, _variance(losses, counts), n, z)),
        Metric("brier", brier, 0.0, intervals.mean_interval(brier, _variance((1.0 - given) ** 2, counts), n, z)),
    )


def roc_auc(scores: Scored, z: float) -> Metric:
    """Return ROC AUC from the counts of negative and of positive rows in each slot.

    Pairs in one slot count half. In an exact slot they are ties, so this is right. In another slot at most half of
    them are counted wrongly.
    """
    negative, positive = scores.negative, scores.positive
    pairs = float(negative.sum() * positive.sum())
    if not pairs:
        return Metric("roc_auc", None)
    below = np.cumsum(negative) - negative
    together = positive * negative
    value = float((positive * below).sum() + together.sum() / 2.0) / pairs
    unsure = float(together[~scores.exact].sum()) / pairs / 2.0
    return Metric(
        "roc_auc", value, unsure, intervals.auc_interval(value, float(positive.sum()), float(negative.sum()), z)
    )


def average_precision(scores: Scored, z: float) -> Metric:
    """Return average precision as scikit-learn defines it.

    It is the sum of each slot's share of the positives times the precision down to the slot. In slots that are not
    exact the scores may differ: the bound is the distance to the best and to the worst order.
    """
    negative, positive = scores.negative, scores.positive
    positives = float(positive.sum())
    if not positives:
        return Metric("average_precision", None)
    hit = positive > 0
    up_to, false = np.cumsum(positive[::-1])[::-1][hit], np.cumsum(negative[::-1])[::-1][hit]
    here, against, exact = positive[hit], negative[hit], scores.exact[hit]
    value = float((here * up_to / (up_to + false)).sum()) / positives
    best = here * up_to / (up_to + false - against)
    last = up_to + false
    tied = here * up_to / last
    # The worst order has the slot's negatives first, then its positives one by one: a sum of (T + i) / (T + i + F). As
    # 1 / x is convex, the sum of 1 / (a + i) is at most the logarithm of (a + p + 1/2) / (a + 1/2).
    worst = here - false * np.log1p(here / (last - here + 0.5))
    above = float((best - tied)[~exact].sum()) / positives
    below = float((tied - worst)[~exact].sum()) / positives
    return Metric(
        "average_precision", value, max(0.0, above, below), intervals.average_precision_interval(value, positives, z)
    )


def _variance(values: Floats, counts: Floats) -> float:
    """Return the variance of one row's loss, with every row at the middle of its slot."""
    n = counts.sum()
    mean = (values * counts).sum() / n
    return float(((values - mean) ** 2 * counts).sum() / n)
