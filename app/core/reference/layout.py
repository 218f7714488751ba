"""Positions of each column's counts in a pane's count vector.

A numeric column has 2m+5 slots: -inf; then below, at and between its m reference values (2m+1); +inf; missing;
invalid. A categorical column of k categories has k+3: each category; unseen; missing; invalid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.core.reference.profile import ColumnProfile, Profile
from app.core.values.precision import in_precision

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FIXED_POINT = 1 << 20
"""Unit of sums. They are kept as integers in this unit, so that the order of adding never changes them."""
KNOTS = 12
"""Number of quantiles of a reference that are precomputed, evenly spaced."""
CLIP = 1024.0
"""Limit of standardised values in reference deviations; values beyond it enter sums clipped."""


@dataclass(frozen=True, eq=False)
class Slots:
    """One column's part of the count vector, compiled for speed."""

    column: ColumnProfile
    offset: int
    size: int
    values: Floats
    codes: dict[str | float, int]

    @property
    def missing(self) -> int:
        """Return the slot of missing values, from the column's own start."""
        return self.size - 2

    @property
    def invalid(self) -> int:
        """Return the slot of values of the wrong type."""
        return self.size - 1

    @property
    def unseen(self) -> int:
        """Return the slot of categories that the reference does not have."""
        return self.size - 3

    @cached_property
    def total(self) -> int:
        """Return the number of reference rows with a value."""
        return self.column.total

    @cached_property
    def cumulative(self) -> Floats:
        """Return a numeric column's reference share below each of the 2m+3 slots of values, and last 1 (2m+4)."""
        counts = np.zeros(self.size - 1, np.int64)
        counts[1] = self.column.below
        counts[3:-2:2] = self.column.counts
        counts[-1] = self.column.above
        return np.asarray(np.cumsum(counts) / max(self.total, 1), np.float64)

    @cached_property
    def points(self) -> Floats:
        """Return a numeric column's end of each slot from 1 to 2m (2m+1): a reference value, or the last float
        before.
        """
        points = np.full(2 * len(self.values) + 1, self.values[0] if len(self.values) else 0.0)
        with np.errstate(over="ignore"):  # there is no float before the smallest one
            points[1::2] = np.maximum(np.nextafter(self.values, -np.inf), -np.finfo(np.float64).max)
        points[2::2] = self.values
        return points

    @cached_property
    def knots(self) -> Integers:
        """Return a numeric column's slots of KNOTS quantiles of the reference, with its smallest and largest value."""
        shares = np.linspace(0.0, 1.0, KNOTS) * (1.0 - 1e-12)  # rounding may miss 1 itself
        return np.searchsorted(self.cumulative[1:], shares).clip(2, None).astype(np.int64)

    @cached_property
    def singles(self) -> int:
        """Return the number of categories that the reference has once; unseen ones are as frequent (Good 1953)."""
        return sum(count == 1 for count in self.column.counts) if self.column.kind == "categorical" else 0

    @cached_property
    def shares(self) -> Floats:
        """Return a categorical column's share of each category in the reference, and 0 for unseen ones (k+1)."""
        return np.asarray(self.tally / max(self.total, 1), np.float64)

    @cached_property
    def middle(self) -> int:
        """Return a numeric column's slot of the reference's median."""
        return int(np.searchsorted(self.cumulative[1:], 0.5))

    @cached_property
    def mean(self) -> float:
        """Return a numeric column's mean of the reference's finite values."""
        counts = np.asarray(self.column.counts, np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.dot(self.values, counts / max(counts.sum(), 1.0)))

    @cached_property
    def tally(self) -> Integers:
        """Return a categorical column's count of each category in the reference, and 0 for unseen ones (k+1)."""
        return np.array([*self.column.counts, 0], np.int64)

    def numeric(self, values: Floats) -> Integers:
        """Return the slot of each value (n floats, NaN for missing), from the column's own start.

        Values are compared in the precision that the reference had (`in_precision`).
        """
        values, reference = in_precision(values, self.column.reading.precision), self.values
        m = len(reference)
        order = np.argsort(values)  # in order, they find their places in memory that was just read
        left = np.empty(len(values), np.int64)
        left[order] = np.searchsorted(reference, values[order])
        slots = 2 * left + 1
        if m:
            slots += reference[np.minimum(left, m - 1)] == values
        finite = np.isfinite(values)
        if not finite.all():
            slots[np.isnan(values)] = self.missing
            slots[values == np.inf] = 2 * m + 2
            slots[values == -np.inf] = 0
        return slots


@dataclass(frozen=True, eq=False)
class Layout:
    """A compiled profile: the slots of every column, the sizes of the count vector and of the sums.

    Sums: two for each numeric column (standardised value, its square), then two for estimation. For a binary model
    these are the calibrated probability mass under a negative and under a positive prediction. For a multiclass one
    they are the calibrated confidence of all predictions (fixed point), and how many had one.
    """

    profile: Profile
    slots: tuple[Slots, ...]
    size: int
    sums: int
    numeric: tuple[int, ...]

    @cached_property
    def cumulative(self) -> Floats:
        """Return at each slot of a numeric column the share of its reference below that slot; elsewhere 0 (`size`)."""
        found = np.zeros(self.size)
        for i in self.numeric:
            slots = self.slots[i]
            found[slots.offset : slots.offset + slots.size - 1] = slots.cumulative
        return found

    @cached_property
    def numeric_values(self) -> NDArray[np.bool_]:
        """Return whether each slot is that of numeric values, not of missing or invalid ones (`size`)."""
        found = np.zeros(self.size, np.bool_)
        for i in self.numeric:
            found[self.slots[i].offset : self.slots[i].offset + self.slots[i].missing] = True
        return found

    @property
    def features(self) -> tuple[Slots, ...]:
        """Return the slots of the features alone."""
        return self.slots[: len(self.profile.features)]

    @property
    def prediction(self) -> Slots:
        """Return the slots of the prediction."""
        return self.slots[len(self.profile.features)]

    @property
    def probability(self) -> Slots | None:
        """Return the slots of the probability; None where the model has none."""
        index = len(self.profile.features) + 1
        return self.slots[index] if index < len(self.slots) else None


def layout_of(profile: Profile) -> Layout:
    """Return a profile compiled to a layout."""
    slots: list[Slots] = []
    offset = 0
    for column in profile.columns:
        compiled = _compile(column, offset)
        slots.append(compiled)
        offset += compiled.size
    numeric = tuple(i for i, s in enumerate(slots) if s.column.kind == "numeric")
    return Layout(profile=profile, slots=tuple(slots), size=offset, sums=2 * len(numeric) + 2, numeric=numeric)


def _compile(column: ColumnProfile, offset: int) -> Slots:
    if column.kind == "numeric":
        values = np.asarray(column.values, dtype=np.float64)
        return Slots(column, offset, 2 * len(values) + 5, values, {})
    codes: dict[str | float, int] = {category: code for code, category in enumerate(column.categories)}
    return Slots(column, offset, len(column.categories) + 3, np.empty(0), codes)
