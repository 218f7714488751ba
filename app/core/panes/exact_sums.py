"""Exact sums of doubles: each value is spread over integer limbs, 32 bits apart, which add up in any order.

A superaccumulator (Kulisch 1986; Neal 2015, arXiv:1505.05571). A finite double is a whole number of 2^-1074, its
square a whole number of 2^-2148. A value has at most 2^33 in each limb, so that int64 limbs hold 2^30 values. An
added value can be subtracted again, and the result is that of never having added it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, ldexp

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LIMB = 32
"""Bits from one limb to the next."""
SUM_LIMBS = 66
"""Number of limbs of a sum of doubles."""
SQUARE_LIMBS = 132
"""Number of limbs of a sum of squares of doubles."""
UNIT = 1074
"""Exponent of the unit: a sum of doubles counts units of 2^-UNIT, a sum of squares units of 2^-(2 UNIT)."""
LARGEST = float(np.finfo(np.float64).max)
"""The largest double."""
_BLOCK = 4096
"""Values that are split at a time: few enough for the cache, and for amounts that are exact in a double."""

_LOW = np.uint64(0xFFFF_FFFF)
_BITS = np.uint64(LIMB)


@dataclass(frozen=True, slots=True)
class Terms:
    """n finite numbers to be added up, or their squares."""

    values: Floats
    squared: bool = False

    @property
    def width(self) -> int:
        """Return the number of limbs of the sum."""
        return SQUARE_LIMBS if self.squared else SUM_LIMBS

    def sums(self, group: Integers, groups: int) -> Integers:
        """Return the limbs of each group's sum (groups x width); `group`: n numbers from 0 to groups-1."""
        total = np.zeros((groups, self.width), np.int64)
        split = _squares if self.squared else _numbers
        for start in range(0, len(self.values), _BLOCK):
            block = slice(start, start + _BLOCK)
            first, amounts = split(self.values[block])
            place = first + group[block] * self.width
            for j, amount in enumerate(amounts):
                added = np.bincount(place, weights=amount, minlength=groups * self.width)
                total[:, j:] += added.reshape(groups, self.width)[:, : self.width - j].astype(np.int64)
        return total


def _numbers(values: Floats) -> tuple[Integers, Floats]:
    """Return the limb at which each value begins, and its amount in this limb and the following ones (3 x n)."""
    mantissa, shift, first = _parts(values, 1)
    low, high = (mantissa & _LOW) << shift, (mantissa >> _BITS) << shift
    amounts = np.empty((3, len(values)))
    amounts[0] = low & _LOW
    amounts[1] = (low >> _BITS) + (high & _LOW)
    amounts[2] = high >> _BITS
    amounts *= np.copysign(1.0, values)
    return first, amounts


def _squares(values: Floats) -> tuple[Integers, Floats]:
    """Return the limb at which each value's square begins, and its amount in this and the following limbs (5 x n)."""
    mantissa, shift, first = _parts(values, 2)
    low, high = mantissa & _LOW, mantissa >> _BITS
    small, middle, large = low * low, (low * high) << np.uint64(1), high * high
    limbs = (
        small & _LOW, (small >> _BITS) + (middle & _LOW), (middle >> _BITS) + (large & _LOW), large >> _BITS,
    )  # fmt: skip
    amounts = np.empty((5, len(values)))
    back, over = _BITS - shift, np.uint64(0)
    for i, limb in enumerate(limbs):
        amounts[i] = ((limb << shift) & _LOW) + over
        over = limb >> back
    amounts[4] = over
    return first, amounts


def _parts(values: Floats, power: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64], Integers]:
    """Return each value's whole mantissa (53 bits), and where its power begins: bits within a limb, and the limb."""
    bits = np.ascontiguousarray(values, np.float64).view(np.uint64)
    exponent = (bits >> np.uint64(52)) & np.uint64(0x7FF)
    normal = exponent > 0
    mantissa = (bits & np.uint64((1 << 52) - 1)) | (normal.astype(np.uint64) << np.uint64(52))
    start = (exponent - normal) * np.uint64(power)
    return mantissa, start & np.uint64(LIMB - 1), (start >> np.uint64(5)).astype(np.int64)


def whole(limbs: Integers) -> int:
    """Return a sum's limbs as one whole number, in units of 2^-UNIT (of squares: 2^-(2 UNIT))."""
    return sum(int(limbs[i]) << (LIMB * int(i)) for i in np.flatnonzero(limbs))


def ratio(a: int, b: int) -> float:
    """Return a / b, correctly rounded (b > 0); where it is beyond all floats, the largest of its sign."""
    try:
        return a / b
    except OverflowError:
        return LARGEST if a > 0 else -LARGEST


def root(a: int, b: int) -> float:
    """Return the square root of a / b (a >= 0, b > 0), to the last bit or the one before, at most the largest float."""
    if a <= 0:
        return 0.0
    shift = max(0, 130 - a.bit_length() + b.bit_length())
    shift += shift % 2
    found = isqrt((a << shift) // b)
    more = max(0, found.bit_length() - 64)
    try:
        return ldexp(float(found >> more), more - shift // 2)
    except OverflowError:
        return LARGEST
