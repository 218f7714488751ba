"""The outcome pane: predictions with their truth, as counts that subtract exactly when truth is corrected.

Slots of a classifier of k labels, in this order: the k*k confusion counts (row actual, column predicted); for each
label its rows that were predicted as an unknown label, and the rows predicted as it whose truth is unknown; BUCKETS
each of unknown truths, unknown predictions, and those where both are the same. A binary model with a probability then
has the scores of negative and of positive rows (see `score_grid`). Last come the rows that enter no metric, by
REASONS, those that enter no metric of scores, by SCORE_REASONS, and the limbs of exact sums (see `exact_sums`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.panes.exact_sums import LARGEST, SQUARE_LIMBS, SUM_LIMBS, Terms
from app.core.panes.labels import BUCKETS, INVALID
from app.core.panes.pane import Names, Pane
from app.core.panes.score_grid import ScoreGrid, grid_slots_of, score_grid
from app.core.reference.layout import Floats, Integers
from app.core.reference.profile import Profile

REASONS = ("missing prediction", "invalid prediction", "missing truth", "invalid truth")
"""Reasons for which a row enters no metric."""
SCORE_REASONS = ("missing probability", "invalid probability", "unknown truth")
"""Reasons for which a row that is judged by its label enters no metric of scores."""
SMALLEST = float(np.finfo(np.float64).eps)
"""Bound of log loss: a probability is clipped to at least this and at most 1 less this, as in scikit-learn."""


Place = int | Integers


@dataclass(frozen=True, slots=True)
class Starts:
    """First positions of the parts of a layout: numbers, or for rows of several layouts an array with each row's."""

    k: Place
    grid_size: Place
    actual_alone: Place
    predicted_alone: Place
    unknown_actual: Place
    unknown_predicted: Place
    unknown_right: Place
    negative_scores: Place
    not_judged: Place
    not_scored: Place

    @property
    def all(self) -> list[Any]:
        """Return all positions, in the order of the fields."""
        return [getattr(self, name) for name in self.__slots__]


@dataclass(frozen=True)
class OutcomeLayout:
    """A profile compiled for outcomes: `size` slots, `k` labels (0: regression), `grid` where there are scores.

    Exact sums: of scores the Brier score and the log loss; of a regression |e|, e^2, y and y^2.
    """

    profile: Profile
    k: int
    grid: ScoreGrid | None

    sums = 0
    """Number of fixed-point sums: an outcome pane has none."""

    @property
    def binary(self) -> bool:
        """Return whether there are two classes, the second of which is the positive one."""
        return self.profile.task == "binary"

    @property
    def confusion(self) -> slice:
        """Return the slots of the confusion counts of known labels."""
        return slice(0, self.k * self.k)

    @property
    def actual_alone(self) -> slice:
        """Return the slots of rows of each known label that were predicted as an unknown one."""
        return _after(self.confusion, self.k)

    @property
    def predicted_alone(self) -> slice:
        """Return the slots of rows predicted as each known label whose truth is unknown."""
        return _after(self.actual_alone, self.k)

    @property
    def unknown_actual(self) -> slice:
        """Return the slots of rows of unknown labels, by bucket."""
        return _after(self.predicted_alone, BUCKETS if self.k else 0)

    @property
    def unknown_predicted(self) -> slice:
        """Return the slots of rows predicted as unknown labels, by bucket."""
        return _after(self.unknown_actual, BUCKETS if self.k else 0)

    @property
    def unknown_right(self) -> slice:
        """Return the slots of rows of unknown labels that were predicted as the same label, by bucket."""
        return _after(self.unknown_predicted, BUCKETS if self.k else 0)

    @property
    def negative_scores(self) -> slice:
        """Return the slots of probabilities where the actual is `labels[0]`."""
        return _after(self.unknown_right, 0 if self.grid is None else self.grid.size)

    @property
    def positive_scores(self) -> slice:
        """Return the slots of probabilities where the actual is `labels[1]`."""
        return _after(self.negative_scores, 0 if self.grid is None else self.grid.size)

    @property
    def not_judged(self) -> slice:
        """Return the slots of rows that enter no metric, by REASONS."""
        return _after(self.positive_scores, len(REASONS))

    @property
    def not_scored(self) -> slice:
        """Return the slots of rows that enter no metric of scores, by SCORE_REASONS."""
        return _after(self.not_judged, 0 if self.grid is None else len(SCORE_REASONS))

    @property
    def limbs(self) -> slice:
        """Return the slots of all exact sums, at the end."""
        widths = 2 * (SUM_LIMBS + SQUARE_LIMBS) if self.k == 0 else 0 if self.grid is None else 2 * SUM_LIMBS
        return _after(self.not_scored, widths)

    @cached_property
    def starts(self) -> Starts:
        """Return the first slot of each part."""
        return Starts(
            self.k, 0 if self.grid is None else self.grid.size,
            self.actual_alone.start, self.predicted_alone.start,
            self.unknown_actual.start, self.unknown_predicted.start, self.unknown_right.start,
            self.negative_scores.start, self.not_judged.start, self.not_scored.start,
        )  # fmt: skip

    @cached_property
    def all_starts(self) -> Integers:
        """Return the first slot of each part, in the order of `Starts`."""
        return np.array(self.starts.all, np.int64)

    @cached_property
    def size(self) -> int:
        """Return the number of slots."""
        return int(self.limbs.stop)


def _after(before: slice, size: int) -> slice:
    return slice(before.stop, before.stop + size)


def outcome_layout(profile: Profile) -> OutcomeLayout:
    """Return a profile compiled for outcomes."""
    if profile.task == "regression":
        return OutcomeLayout(profile, 0, None)
    grid = None
    if profile.task == "binary" and profile.probability is not None:
        grid = score_grid(np.asarray(profile.probability.values, np.float64))
    return OutcomeLayout(profile, len(profile.labels), grid)


@dataclass(frozen=True, slots=True)
class OutcomeRows:
    """Counts of n rows: `slots` (w x n, -1 for none) once each, and the terms of the exact sums.

    A row's part depends on that row alone, so subtracting it is exact.
    """

    slots: NDArray[np.int32]
    exact: tuple[Terms, ...] = ()

    @property
    def n(self) -> int:
        """Return the number of rows."""
        return int(self.slots.shape[1])

    def pick(self, rows: NDArray[np.intp]) -> OutcomeRows:
        """Return the rows at these positions."""
        return OutcomeRows(self.slots[:, rows], tuple(Terms(terms.values[rows], terms.squared) for terms in self.exact))

    def sums(self, group: Integers | None = None, groups: int = 1) -> Integers:
        """Return the limbs of all exact sums of each group (groups x limbs); `group`: n numbers from 0 to groups-1."""
        group = np.zeros(self.n, np.int64) if group is None else group
        found = [terms.sums(group, groups) for terms in self.exact]
        return np.concatenate(found, axis=1) if found else np.zeros((groups, 0), np.int64)


def outcome_rows(layout: OutcomeLayout, predicted: Integers, value: Floats, actual: Floats) -> OutcomeRows:
    """Return the counts of each row.

    `predicted`: n codes (see `label_codes`; of a regression INVALID where the prediction is no number). `value`: the
    probability of the positive class, or the regression's prediction; NaN for none. `actual`: n label codes, or
    values (NaN for none, infinite for what is no number).
    """
    if layout.k == 0:
        return _regression(layout.starts, predicted, value, actual)
    grid_slots = None if layout.grid is None else layout.grid.of
    return _labels(layout.starts, grid_slots, predicted, value, actual)


def mixed_outcome_rows(
    layouts: Sequence[OutcomeLayout], sizes: Sequence[int], predicted: Integers, value: Floats, actual: Floats
) -> Iterator[tuple[NDArray[np.intp], OutcomeRows]]:
    """Yield the counts of rows, where some rows of one layout are followed by those of the next (`sizes` of each).

    The same as `outcome_rows` of each layout, for all rows of one kind together: their positions and their counts.
    """
    kinds = np.repeat([0 if layout.k == 0 else 1 if layout.grid is None else 2 for layout in layouts], sizes)
    every = Starts(*np.repeat([layout.all_starts for layout in layouts], sizes, axis=0).T)
    for kind in np.unique(kinds).tolist():
        rows = np.flatnonzero(kinds == kind)
        starts = Starts(*(one[rows] for one in every.all))
        given = predicted[rows], value[rows], actual[rows]
        if kind == 0:
            yield rows, _regression(starts, *given)
            continue
        grids = [(layout.grid, n) for layout, n in zip(layouts, sizes, strict=True) if layout.grid is not None]
        yield rows, _labels(starts, None if kind == 1 else partial(grid_slots_of, grids), *given)


def _labels(
    starts: Starts,
    grid_slots: Callable[[Floats], Integers] | None,
    predicted: Integers,
    value: Floats,
    actual: Floats,
) -> OutcomeRows:
    """Return the counts of classifiers' rows. `grid_slots`: the slots of scores in the rows' grids, if they have
    grids.
    """
    k, reason = starts.k, starts.not_judged
    code = np.where(actual >= 0, actual, -1.0).astype(np.int64)
    cell = code * k + predicted
    slots = [cell]
    odd = (code < 0) | (code >= k) | (predicted < 0) | (predicted >= k)
    judged = None
    if odd.any():
        judged = (code >= 0) & (predicted >= 0)
        stranger, strange = judged & (code >= k), judged & (predicted >= k)
        cell = np.where(strange, starts.actual_alone + code, cell)
        cell = np.where(stranger, starts.predicted_alone + predicted, cell)
        cell = np.where(stranger & strange, -1, cell)
        cell = np.where(code < 0, reason + REASONS.index("missing truth"), cell)
        cell = np.where(predicted < 0, reason + REASONS.index("missing prediction"), cell)
        cell = np.where(predicted == INVALID, reason + REASONS.index("invalid prediction"), cell)
        slots = [
            cell,
            np.where(stranger, starts.unknown_actual + code - k, -1),
            np.where(strange, starts.unknown_predicted + predicted - k, -1),
            np.where(strange & (code == predicted), starts.unknown_right + code - k, -1),
        ]
    if grid_slots is None:
        return OutcomeRows(np.array(slots, np.int32))
    score, exact = _scores(starts, grid_slots, value, code, judged)
    return OutcomeRows(np.array([*slots, score], np.int32), exact)


def _scores(
    starts: Starts,
    grid_slots: Callable[[Floats], Integers],
    value: Floats,
    code: Integers,
    judged: NDArray[np.bool_] | None,
) -> tuple[Integers, tuple[Terms, ...]]:
    """Return the slot of each score, or of the reason for none; and the terms of the Brier score and the log loss."""
    within = (value >= 0.0) & (value <= 1.0)
    scored = within if judged is None else within & judged & (code < 2)
    everything = bool(scored.all())
    p = value if everything else np.where(scored, value, 0.0)
    truth = code if everything else np.where(scored, code, 0)
    slot = np.asarray(starts.negative_scores + truth * starts.grid_size + grid_slots(p), np.int64)
    square = np.square(truth - p)
    loss = -np.log(np.clip(np.where(truth == 1, p, 1.0 - p), SMALLEST, 1.0 - SMALLEST))
    if not everything:
        first = starts.not_scored
        slot = np.where(scored, slot, first + SCORE_REASONS.index("unknown truth"))
        slot = np.where(within, slot, first + SCORE_REASONS.index("invalid probability"))
        slot = np.where(np.isnan(value), first + SCORE_REASONS.index("missing probability"), slot)
        if judged is not None:
            slot = np.where(judged, slot, -1)
        square, loss = np.where(scored, square, 0.0), np.where(scored, loss, 0.0)
    return slot, (Terms(square), Terms(loss))


def _regression(starts: Starts, predicted: Integers, value: Floats, actual: Floats) -> OutcomeRows:
    """Return the counts of a regression's rows. Errors are differences in doubles, as in scikit-learn.

    An error beyond all doubles counts as the largest double.
    """
    known = np.isfinite(actual) & np.isfinite(value)
    slot = np.full(len(value), -1, np.int32)
    truth, guess = actual, value
    if not known.all():
        truth, guess = np.where(known, actual, 0.0), np.where(known, value, 0.0)
        reasons = (
            ("invalid truth", np.isinf(actual)), ("missing truth", np.isnan(actual)),
            ("missing prediction", np.isnan(value)), ("invalid prediction", np.isinf(value) | (predicted == INVALID)),
        )  # fmt: skip
        for reason, rows in reasons:
            slot = np.where(rows, starts.not_judged + REASONS.index(reason), slot)
    with np.errstate(over="ignore"):
        error = np.minimum(np.abs(truth - guess), LARGEST)
    exact = (Terms(error), Terms(error, squared=True), Terms(truth), Terms(truth, squared=True))
    return OutcomeRows(slot[None].astype(np.int32), exact)


def outcome_pane(
    layout: OutcomeLayout, predicted: Integers, value: Floats, actual: Floats, names: Names | None = None
) -> Pane:
    """Return the pane of whole columns (see `outcome_rows`), for offline use."""
    return pane_of_rows(layout, outcome_rows(layout, predicted, value, actual), names)


def pane_of_rows(layout: OutcomeLayout, rows: OutcomeRows, names: Names | None = None) -> Pane:
    """Return the pane of rows that are all of one model."""
    dense = np.bincount(rows.slots[rows.slots >= 0], minlength=layout.size)
    dense[layout.limbs] = rows.sums()[0]
    return Pane.of(rows.n, dense, np.zeros(0, np.int64), names)
