"""The outcome pane: predictions with their truth, as counts that subtract exactly when truth is corrected.

Slots: the k*k confusion counts (row actual, column predicted); of a binary model then SCORE_BINS histogram
bins of the probability where the actual is negative and SCORE_BINS where it is positive; last `unknown`,
rows without a usable label or value, which enter nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.layout import CLIP, FIXED_POINT, Floats, Integers
from app.core.pane import Pane
from app.core.profile import Profile

SCORE_BINS = 2000
"""Bins of the probability, equal in width, for each class of a binary model."""
SMALLEST = 1e-15
"""The probability given to the truth is at least this before its logarithm."""


@dataclass(frozen=True)
class OutcomeLayout:
    """A profile compiled for outcomes: `size` counts, `sums` fixed-point sums, `k` labels (0: regression).

    Sums: binary [squared error of the probability, log loss]; regression [|e|, e^2, y, y^2] in units of the
    prediction column's scale, y also centred, all clipped to CLIP; multiclass none.
    """

    profile: Profile
    size: int
    sums: int
    k: int

    @property
    def binary(self) -> bool:
        """Whether there are score histograms."""
        return self.profile.task == "binary"

    @property
    def negative_scores(self) -> slice:
        """The histogram of probabilities where the actual is `labels[0]`."""
        start = self.k * self.k
        return slice(start, start + SCORE_BINS * self.binary)

    @property
    def positive_scores(self) -> slice:
        """The histogram of probabilities where the actual is `labels[1]`."""
        start = self.negative_scores.stop
        return slice(start, start + SCORE_BINS * self.binary)

    @property
    def unknown(self) -> int:
        """The slot of rows that cannot be judged."""
        return self.size - 1


def outcome_layout(profile: Profile) -> OutcomeLayout:
    """Compile a profile for outcomes."""
    if profile.task == "regression":
        return OutcomeLayout(profile, size=1, sums=4, k=0)
    k = len(profile.labels)
    if profile.task == "binary":
        return OutcomeLayout(profile, size=k * k + 2 * SCORE_BINS + 1, sums=2, k=k)
    return OutcomeLayout(profile, size=k * k + 1, sums=0, k=k)


def outcome_slots(
    layout: OutcomeLayout, predicted: Integers, value: Floats, actual: Floats
) -> tuple[Integers, Integers]:
    """Each row's slots (n x w, absolute, -1 for none) and its share of the sums (n x `layout.sums`).

    `predicted`: n label codes, -1 unknown (unused in regression). `value`: the probability of the positive
    class, or the regression's prediction; NaN for none. `actual`: n label codes or values; NaN unknown. A
    row's part depends on that row alone, so subtracting it is exact. Not read: a probability outside [0, 1].
    """
    if layout.k == 0:
        return _regression(layout, value, actual)
    known = (predicted >= 0) & ~np.isnan(actual)
    code = np.where(known, actual, 0.0).astype(np.int64)
    confusion = np.where(known, code * layout.k + predicted, layout.unknown)
    if not layout.binary:
        return confusion[:, None], np.zeros((len(confusion), 0), np.int64)
    scored = known & (value >= 0.0) & (value <= 1.0)
    p = np.where(scored, value, 0.5)
    score = np.where(scored, layout.negative_scores.start + code * SCORE_BINS + score_bin(p), -1)
    loss = -np.log(np.where(code == 1, p, 1.0 - p).clip(min=SMALLEST))
    sums = np.column_stack([_fixed(np.square(p - code), scored), _fixed(loss, scored)])
    return np.column_stack([confusion, score]), sums


def score_bin(p: Floats) -> Integers:
    """The histogram bin of each probability in [0, 1]."""
    return np.minimum((p * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)


def _regression(layout: OutcomeLayout, value: Floats, actual: Floats) -> tuple[Integers, Integers]:
    """An infinite prediction counts as an error of CLIP; an actual that is not finite is unknown."""
    known = np.isfinite(actual) & ~np.isnan(value)
    column = layout.profile.prediction
    truth = np.where(known, actual, 0.0)
    with np.errstate(over="ignore"):
        error = np.clip(np.abs((np.where(known, value, 0.0) - truth) / column.scale), 0.0, CLIP)
        y = np.clip((truth - column.centre) / column.scale, -CLIP, CLIP)
    sums = np.column_stack([_fixed(part, known) for part in (error, error * error, y, y * y)])
    return np.where(known, -1, layout.unknown)[:, None], sums


def _fixed(values: Floats, counted: NDArray[np.bool_]) -> Integers:
    return np.where(counted, np.rint(values * FIXED_POINT), 0.0).astype(np.int64)


def outcome_pane(layout: OutcomeLayout, predicted: Integers, value: Floats, actual: Floats) -> Pane:
    """The pane of whole columns (see `outcome_slots`), for offline use."""
    slots, sums = outcome_slots(layout, predicted, value, actual)
    dense = np.bincount(slots[slots >= 0], minlength=layout.size)
    return Pane.of(len(slots), dense, sums.sum(axis=0))
