"""Where each column's counts stand in a pane's count vector.

A numeric column has 2m+5 slots: -inf; then below, at and between its m reference values (2m+1); +inf;
missing; invalid. A categorical column of k categories has k+3: each category; unseen; missing; invalid.
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
"""Sums are kept as integers in these units, so that the order of adding never changes them."""
KNOTS = 12
"""Quantiles of a reference that are kept at hand, evenly spaced."""
CLIP = 1024.0
"""Standardised values beyond this many reference deviations enter sums clipped."""


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
        """The slot of missing values, from the column's own start."""
        return self.size - 2

    @property
    def invalid(self) -> int:
        """The slot of values of the wrong type."""
        return self.size - 1

    @property
    def unseen(self) -> int:
        """The slot of categories that the reference does not have."""
        return self.size - 3

    @cached_property
    def total(self) -> int:
        """Reference rows with a value."""
        return self.column.total

    @cached_property
    def cumulative(self) -> Floats:
        """Numeric: the share of the reference below each of the 2m+3 slots of values, and at last 1 (2m+4)."""
        counts = np.zeros(self.size - 1, np.int64)
        counts[1] = self.column.below
        counts[3:-2:2] = self.column.counts
        counts[-1] = self.column.above
        return np.asarray(np.cumsum(counts) / max(self.total, 1), np.float64)

    @cached_property
    def points(self) -> Floats:
        """Numeric: where a slot from 1 to 2m ends: a reference value, or the last float before it (2m+1)."""
        points = np.full(2 * len(self.values) + 1, self.values[0] if len(self.values) else 0.0)
        with np.errstate(over="ignore"):  # before the smallest float there is none
            points[1::2] = np.maximum(np.nextafter(self.values, -np.inf), -np.finfo(np.float64).max)
        points[2::2] = self.values
        return points

    @cached_property
    def knots(self) -> Integers:
        """Numeric: the slots of KNOTS quantiles of the reference, its smallest and its largest value among them."""
        shares = np.linspace(0.0, 1.0, KNOTS) * (1.0 - 1e-12)  # 1 itself may be missed by rounding
        return np.searchsorted(self.cumulative[1:], shares).clip(2, None).astype(np.int64)

    @cached_property
    def singles(self) -> int:
        """Categorical: categories that the reference has once; unseen ones are as frequent (Good 1953)."""
        return sum(count == 1 for count in self.column.counts) if self.column.kind == "categorical" else 0

    @cached_property
    def shares(self) -> Floats:
        """Categorical: the reference's share of each category, and 0 for unseen ones (k+1)."""
        return np.asarray(self.tally / max(self.total, 1), np.float64)

    @cached_property
    def middle(self) -> int:
        """Numeric: the slot of the reference's median."""
        return int(np.searchsorted(self.cumulative[1:], 0.5))

    @cached_property
    def mean(self) -> float:
        """Numeric: the mean of the reference's finite values."""
        counts = np.asarray(self.column.counts, np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.dot(self.values, counts / max(counts.sum(), 1.0)))

    @cached_property
    def tally(self) -> Integers:
        """Categorical: the reference's count of each category, and 0 for unseen ones (k+1)."""
        return np.array([*self.column.counts, 0], np.int64)

    def numeric(self, values: Floats) -> Integers:
        """The slot of each value (n floats, NaN for missing), from the column's own start.

        Values are compared in the precision that the reference had (`in_precision`).
        """
        values, reference = in_precision(values, self.column.reading.precision), self.values
        m = len(reference)
        order = np.argsort(values)  # one after another they find their places in memory that was just read
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
    """A profile compiled: the slots of every column, the count vector's and the sums' sizes.

    Sums: two a numeric column (standardised value, its square), then two for estimation. Of a
    binary model the calibrated probability mass under a negative and under a positive prediction; of a multiclass one
    the calibrated confidence of all predictions (fixed point), and how many had one.
    """

    profile: Profile
    slots: tuple[Slots, ...]
    size: int
    sums: int
    numeric: tuple[int, ...]

    @cached_property
    def cumulative(self) -> Floats:
        """At each slot of a numeric column the share of its reference below that slot; else 0 (`size`)."""
        found = np.zeros(self.size)
        for i in self.numeric:
            slots = self.slots[i]
            found[slots.offset : slots.offset + slots.size - 1] = slots.cumulative
        return found

    @cached_property
    def numeric_values(self) -> NDArray[np.bool_]:
        """Which slots are those of numeric values, not of missing or invalid ones (`size`)."""
        found = np.zeros(self.size, np.bool_)
        for i in self.numeric:
            found[self.slots[i].offset : self.slots[i].offset + self.slots[i].missing] = True
        return found

    @property
    def features(self) -> tuple[Slots, ...]:
        """The slots of the features alone."""
        return self.slots[: len(self.profile.features)]

    @property
    def prediction(self) -> Slots:
        """The slots of the prediction."""
        return self.slots[len(self.profile.features)]

    @property
    def probability(self) -> Slots | None:
        """The slots of the probability, where the model has one."""
        index = len(self.profile.features) + 1
        return self.slots[index] if index < len(self.slots) else None


def layout_of(profile: Profile) -> Layout:
    """Compile a profile."""
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
