"""Causes of a numeric column's change: another unit, a shift, values that are cut off or filled in."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

import numpy as np

from app.core.evaluation.causes.units import UNITS
from app.core.evaluation.results import cause
from app.core.reference.layout import Floats, Integers, Slots
from topics.results import Cause

MASS = 0.05
"""Share of the rows by which one value must have become more frequent."""
BETTER = 0.5
"""A conversion is a likely cause if it leaves at most this share of the difference."""
CLOSE = 0.25
"""The same limit for a factor or a shift that is no known conversion."""
FEWEST = 100
"""Minimum rows for naming a factor or shift that is no known conversion, or a conversion of temperatures."""
MOST, APART, STRAY = 0.4, 1.25, 0.02
"""Conditions for naming a unit.

At most `MOST` of the distribution is left, and the next best unit leaves at least `APART` times as much. At most a
share of `STRAY` of the rows are no multiples of its factor.
"""
SCALED, NEAR = 0.2, 5
"""Tolerances of factors and shifts.

`SCALED`: the distance of the logarithm of a unit's factor from that of the mean's or the spread's, unless all values
are multiples. `NEAR`: the whole numbers around a shift of the mean that are tried.
"""
MARKED = 5
"""Rows with nonzero reference values that must be multiples of a unit's factor before they identify the unit."""
HOURS = 24
DEFAULT = "(a default for what is not known?)"
WHOLE = 1e-6
POINTS = 256
"""Reference values at which conversions are compared: evenly spaced among all."""


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """The values of a pane as its counts show them: how many are up to each reference value, and at each slot.

    `up_to`: the share at or below each reference value. `at`: the share in each slot from 1 on (below, at and between
    the m reference values, 2m+1). `mean` and `spread` (standard deviation) are exact except for rounding. `picked`:
    the reference values at which conversions are compared. `cumulative`: the reference's share below the first, and
    up to each of all.
    """

    slots: Slots
    n: int
    at: Floats
    up_to: Floats
    mean: float
    spread: float
    picked: Integers
    cumulative: Floats

    @staticmethod
    def of(slots: Slots, indices: Integers, counts: Integers, mean: float, spread: float) -> Numbers:
        """Return the values of ascending slots with values (none is infinite) and their counts."""
        n = int(counts.sum())
        at = np.zeros(2 * len(slots.values) + 1)
        at[indices - 1] = counts / n
        m = len(slots.values)
        picked = np.unique(np.linspace(0, m - 1, min(m, POINTS)).astype(np.int64))
        cumulative = np.concatenate(([slots.cumulative[1]], slots.cumulative[3:-1:2]))
        return Numbers(slots, n, at, np.cumsum(at)[1::2], mean, spread, picked, cumulative)

    def reference(self, x: Floats) -> Floats:
        """Return the share of the reference at or below each point."""
        return np.asarray(self.cumulative[np.searchsorted(self.slots.values, x + WHOLE * np.abs(x), side="right")])

    @property
    def whole(self) -> bool:
        """Return whether the reference has whole numbers alone."""
        return bool((self.slots.values == np.round(self.slots.values)).all())

    def fits(self, factor: float) -> bool:
        """Return whether a conversion by this factor is possible: whole numbers must be multiples of a whole factor."""
        if factor < 2.0 or factor != round(factor) or not self.whole:
            return True
        return float(self.at[1::2][self.slots.values % factor != 0].sum()) <= STRAY

    def scaled(self, factor: float) -> bool:
        """Return whether the mean or the spread changed by about this factor."""
        ratios = (self.spread / (self.slots.column.scale or inf), self.mean / (self.slots.mean or inf))
        return any(ratio / factor > 0.0 and abs(log(ratio / factor)) <= SCALED for ratio in ratios)

    def agree(self, factor: float) -> bool:
        """Return whether the mean changed by about this factor."""
        ratio = self.mean / (self.slots.mean or inf) / factor
        return ratio > 0.0 and abs(log(ratio)) <= SCALED

    def difference(self, factor: float, offset: float) -> float:
        """Return the largest difference from the reference's distribution, scaled by `factor`, shifted by `offset`."""
        x = (self.slots.values[self.picked] - offset) / factor
        expected = self.reference(x) if factor > 0 else 1.0 - self.reference(x - 2 * WHOLE * np.abs(x))
        return float(np.abs(self.up_to[self.picked] - expected).max())

    def apart(self, factor: float = 1.0, offset: float = 0.0) -> float:
        """Return the distance from the reference's values, scaled by `factor` and shifted by `offset`; 0 if equal.

        The distance adds the largest difference of the distributions where the reference has values, and the
        differences of the means and of the spreads. The latter two matter where the reference is far away and has no
        values.
        """
        scale = abs(factor) * self.slots.column.scale
        shift = abs(self.mean - factor * self.slots.mean - offset) / scale if scale else 0.0
        ratio = abs(log(self.spread / scale)) if self.spread > 0.0 < scale else 3.0
        return self.difference(factor, offset) + shift / 2 + ratio / 4


def of_numbers(numbers: Numbers) -> Cause | None:
    """Return the likely cause; None where nothing simple explains the values."""
    return _hours(numbers) or _multiples(numbers) or _point(numbers) or _conversion(numbers)


def _multiples(numbers: Numbers) -> Cause | None:
    """Return a unit if all values are whole multiples of its factor, while most of the reference are not; else None."""
    slots = numbers.slots
    if not numbers.whole:
        return None
    there = np.where(slots.values == 0.0, 0.0, numbers.at[1::2])
    before = np.where(slots.values == 0.0, 0.0, np.diff(slots.cumulative)[2:-1:2])
    if there.sum() * numbers.n < MARKED:
        return None
    for unit in sorted(UNITS, key=lambda unit: -unit.factor):
        if unit.factor < 2.0 or unit.offset or unit.factor != round(unit.factor):
            continue
        multiples = slots.values % unit.factor == 0
        if there[~multiples].sum() > STRAY * there.sum() or before[multiples].sum() > before.sum() / 2:
            continue
        if numbers.apart(unit.factor) < numbers.apart():
            return cause("unit", f"{unit.sign} ({unit.example}?)", unit.factor, 0.0)
    return None


def _point(numbers: Numbers) -> Cause | None:
    """Return the cause if one value is far more frequent: values are cut off, filled in, or all equal."""
    slots, at = numbers.slots, numbers.at
    before = np.diff(slots.cumulative)[1:-1]
    rise = at - before
    most = int(rise.argmax())
    share = float(at[most])
    if share < 1.0 and not (rise[most] >= MASS and most % 2):
        return _outside(numbers, before)
    if not most % 2:
        return None if share < 1.0 or numbers.spread > 0.0 else cause("constant", f"always {numbers.mean:.4g}")
    value = f"{slots.values[most // 2]:.4g}"
    if share == 1.0:
        return cause("constant", f"always {value}") if before[most] < 0.5 else None
    for side, name in ((slice(None, most), "below"), (slice(most + 1, None), "above")):
        lost = float(before[side].sum())
        if lost >= MASS and at[side].sum() <= lost / 20 and abs(rise[most] - lost) <= max(lost / 2, MASS):
            return cause("clipped", f"cut off at {value}: nothing is {name} it any more ({lost:.0%} before)")
    if not _rest(numbers, before, most):
        return None
    return cause("filled", f"{share:.0%} of the values are {value} ({before[most]:.0%} before) {DEFAULT}")


def _outside(numbers: Numbers, before: Floats) -> Cause | None:
    """Return the cause if some values are beyond the whole reference, the rest as before: 0, -1 or 999 for unknown."""
    for place, name, end in ((0, "below", 0), (len(before) - 1, "above", -1)):
        share = float(numbers.at[place])
        if not MASS <= share <= 0.95 or not _rest(numbers, before, place):
            continue
        value = numbers.slots.mean + (numbers.mean - numbers.slots.mean) / share
        edge = float(numbers.slots.values[end])
        zero = edge > 0.0 and not place and abs(value) <= edge + numbers.slots.column.scale / 2
        beyond = edge - value if place == 0 else value - edge
        if not zero and beyond < -numbers.slots.column.scale / 2:
            continue  # by the mean these values were not filled in
        about = "0" if zero else f"about {value:.3g}"
        words = f"{share:.0%} of the values are {name} all of the reference ({edge:.4g}), probably {about}"
        return cause("filled", f"{words} {DEFAULT}")
    return None


def _rest(numbers: Numbers, before: Floats, place: int) -> bool:
    """Return whether the other slots, without this one, are much closer to the reference."""
    now, then = numbers.at.copy(), before.copy()
    now[place] = then[place] = 0.0
    left = float(np.abs(np.cumsum(now / max(now.sum(), 1e-12) - then / max(then.sum(), 1e-12))).max())
    return left <= BETTER * float(np.abs(np.cumsum(numbers.at - before)).max()) + 0.02


def _conversion(numbers: Numbers) -> Cause | None:
    """Return another unit, a shift, or a factor: the one that leaves least of the difference; None if none fits."""
    plain, column = numbers.apart(), numbers.slots.column
    fits = sorted(
        ((numbers.apart(unit.factor, unit.offset), i) for i, unit in enumerate(UNITS) if numbers.fits(unit.factor))
    )
    left, best = fits[0][0], UNITS[fits[0][1]]
    many = numbers.n >= FEWEST
    known = numbers.at[0] + numbers.at[-1] <= 0.5  # the slots beyond the reference show no shape
    shift = numbers.mean - numbers.slots.mean
    tried = (round(shift) + np.arange(-NEAR, NEAR + 1.0)).tolist() if numbers.whole else [shift]
    moved, offset = min(((numbers.apart(1.0, by), by) for by in tried if by), default=(inf, 0.0))
    if many and known and moved < min(left, CLOSE * plain):
        return cause("shift", f"{'+' if offset > 0 else '-'} {abs(offset):.4g} (another zero?)", 1.0, offset)
    near = left <= (CLOSE if best.offset else BETTER) * plain and (many or not best.offset)
    multiples = numbers.whole and best.factor >= 2.0 and best.factor == round(best.factor)
    near = near and (not many or multiples or bool(best.offset) or numbers.scaled(best.factor))
    if near and numbers.difference(best.factor, best.offset) <= MOST and fits[1][0] >= APART * left:
        return cause("unit", f"{best.sign} ({best.example}?)", best.factor, best.offset)
    factor = numbers.spread / column.scale if column.scale else 0.0
    same = factor > 0.0 and numbers.agree(factor)
    if many and same and numbers.apart(factor) <= CLOSE * plain:
        return cause("factor", f"about x {factor:.3g}", factor, 0.0)
    return None


def _hours(numbers: Numbers) -> Cause | None:
    """Return the cause of hours of the day from another time zone, which wrap around after 23; else None."""
    values = numbers.slots.values
    if not is_hours(values):
        return None
    shares = np.zeros(HOURS)
    shares[values.astype(np.int64)] = np.diff(numbers.slots.cumulative)[2:-1:2]
    expected = np.array([np.cumsum(np.roll(shares, by))[values.astype(np.int64)] for by in range(HOURS)])
    left = np.abs(expected - numbers.up_to).max(axis=1)
    by = int(left.argmin())
    return another_clock(by) if by and left[by] <= CLOSE * left[0] else None


def is_hours(values: Floats) -> bool:
    """Return whether a reference's values are hours of the day."""
    whole = bool((values == np.round(values)).all())
    return whole and len(values) >= HOURS / 2 and values[0] >= 0 and values[-1] < HOURS


def another_clock(by: int) -> Cause:
    """Return the cause for hours that are `by` hours later, modulo 24."""
    offset = by if by <= HOURS / 2 else by - HOURS
    return cause(
        "shift", f"{'+' if offset > 0 else '-'} {abs(offset)} of 24 hours (another time zone?)", 1.0, float(offset)
    )
