"""Slots in which probabilities are counted: the reference's own scores, and a grid that is fine at every scale.

The points are the reference's distinct scores, multiples of 0.001, and further ones, close together near 0 and near 1
as floats are. A score that equals one of the first two kinds is counted at it, any other between its neighbours. Two
scores at one point are equal; two between the same points may differ, and their order is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from app.core.reference.layout import Floats, Integers

DECIMALS = 1000
"""Decimal points of the grid: every multiple of 1 / DECIMALS is a point, as many models round scores."""
MOST_POINTS = 10_000
"""Points for the reference's scores (as many as a column keeps) and for an even grid where there are fewer scores."""
STEPS = 96
"""Points between one power of 2 and the next, near 0 and near 1: 320 per factor of 10."""
FINEST = 40
"""Power of 2 to which STEPS reach down: 2^-FINEST; below it each power of 2 is a point, down to the smallest float."""
MANY = 256
"""Number of scores from which on sorting them first is faster."""
_COARSEST = 4
"""Power of 2 from which on STEPS are finer than DECIMALS: 2^-4."""


@dataclass(frozen=True, eq=False)
class ScoreGrid:
    """The slots of scores in [0, 1]: `size` of them, in the order of the scores.

    `exact`: whether all scores of a slot are equal. `middle`: one score of each slot. `points`: E ascending scores;
    `slots`: the slot before, at and after each of them (2E + 1).
    """

    points: Floats
    slots: NDArray[np.int32]
    exact: NDArray[np.bool_]
    middle: Floats

    @property
    def size(self) -> int:
        """Return the number of slots."""
        return len(self.exact)

    def of(self, scores: Floats) -> Integers:
        """Return the slot of each score in [0, 1]."""
        if len(scores) < MANY:
            left = self.points.searchsorted(scores)  # 1 is a point, so that each score has a point at or above it
        else:
            order = np.argsort(scores)  # in order, they find their places in memory that was just read
            left = np.empty(len(scores), np.int64)
            left[order] = self.points.searchsorted(scores[order])
        found: Integers = self.slots.take(2 * left + (self.points.take(left) == scores)).astype(np.int64)
        return found


def grid_slots_of(grids: Sequence[tuple[ScoreGrid, int]], scores: Floats) -> Integers:
    """Return the slot of each score in [0, 1], where each grid is given with the number of its consecutive scores."""
    found, start = [], 0
    for grid, n in grids:
        found.append(grid.of(scores[start : start + n]))
        start += n
    return np.concatenate(found)


def score_grid(reference: Floats) -> ScoreGrid:
    """Return the grid for a reference with these distinct scores."""
    within = reference[(reference >= 0.0) & (reference <= 1.0)]
    spare = max(1, 2 * (MOST_POINTS - len(within)))
    exact = np.concatenate([within, np.arange(DECIMALS + 1) / DECIMALS])
    found = np.concatenate([exact, np.arange(spare) / spare, _near_the_ends()])
    order = np.argsort(found, kind="stable")  # among equal points the exact one comes first
    ordered = found[order]
    first_of_its_value = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    points, is_exact = ordered[first_of_its_value], order[first_of_its_value] < len(exact)
    begins = np.ones(2 * len(points) + 1, np.bool_)
    begins[2::2] = is_exact  # a score at another point belongs to those that follow it
    slots = (np.cumsum(begins) - 1).astype(np.int32)
    first = np.flatnonzero(begins)
    at = np.zeros(len(begins), np.bool_)
    at[1::2] = is_exact
    low_end = np.concatenate([[0.0], points])[(first + 1) // 2]
    following = np.concatenate([first[1:], [len(begins)]])
    high_end = np.concatenate([points, [1.0]])[following // 2]
    exact_slots = at[first]
    middle = np.where(exact_slots, low_end, (low_end + high_end) / 2.0)
    return ScoreGrid(points, slots, exact_slots, middle)


@cache
def _near_the_ends() -> Floats:
    """Return points close together near 0 and near 1, the same for every reference."""
    steps = 1.0 + np.arange(STEPS) / STEPS
    fine = np.concatenate([np.ldexp(steps, -power) for power in range(_COARSEST, FINEST + 1)])
    return np.concatenate([fine, 1.0 - fine, np.ldexp(1.0, -np.arange(FINEST + 1, 1075))])
