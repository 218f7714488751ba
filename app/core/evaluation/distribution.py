"""A column's two distributions as a few points: enough for a picture that shows the exact difference."""

from __future__ import annotations

import numpy as np

from app.core.evaluation.summary import UNSEEN
from app.core.reference.layout import KNOTS, Integers, Slots
from topics.results import Shape

INNER = (np.arange(KNOTS - 1) + 0.5) / (KNOTS - 1)
"""Quantiles of the window that are shown; they lie between those of the reference."""
TOP = 10
"""Maximum number of categories that are shown by name."""
REST = "(other)"


def numeric_shape(slots: Slots, indices: Integers, cumulative: Integers, gap: int) -> Shape | None:
    """Return about 24 points of a numeric column: quantiles of both sides, and the point where they differ most.

    `indices` are the window's slots with values, ascending, `cumulative` the values up to each. `gap` is the slot up
    to which the largest difference is reached. Every share is exact: a point is a reference value, or the last float
    before one. So the largest difference of the two rows is the KS statistic, unless infinities alone make it, which
    no finite point shows. Returns None without a finite reference value.
    """
    m = len(slots.values)
    if not m:
        return None
    n = cumulative[-1]
    quantiles = indices[cumulative.searchsorted(INNER * n)]
    picks = np.concatenate((slots.knots, quantiles, (gap,))).clip(1, 2 * m)
    picks.sort()
    picks = picks[np.concatenate(((True,), picks[1:] != picks[:-1]))]
    place = indices.searchsorted(picks, side="right")
    current = cumulative[place - 1] / n
    current[place == 0] = 0.0
    return Shape(
        tuple(slots.points[picks].tolist()), tuple(slots.cumulative[picks + 1].tolist()), tuple(current.tolist())
    )


def categorical_shape(slots: Slots, now: Integers, n: int) -> Shape:
    """Return the largest categories of either side, and the rest as one. `now`: counts by category, unseen last."""
    p, q = now / n, slots.shares
    largest = np.argsort(-np.maximum(p, q), kind="stable")[:TOP]
    picked = largest[(p[largest] > 0.0) | (q[largest] > 0.0)].tolist()
    names = (*slots.column.categories, UNSEEN)
    at, current, reference = [names[i] for i in picked], p[picked].tolist(), q[picked].tolist()
    rest, rest_before = n - int(now[picked].sum()), slots.total - int(slots.tally[picked].sum())
    if rest or rest_before:
        at.append(REST)
        current.append(rest / n)
        reference.append(rest_before / slots.total)
    return Shape(tuple(at), tuple(reference), tuple(current))
