"""Numbers in the precision that a reference had: float32 compared with float64."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Precision = Literal["float64", "float32", "float16"]

EXACT_IN_A_FLOAT = 1 << 53
"""Bound up to which every whole number is a double."""
WRITTEN = (1e-6, 1e7)
"""Sizes of numbers whose decimals repeat, so that it matters whether two are equal."""
SIMPLE = 4096.0
"""Denominator of simple fractions: 1/16384 is a double itself; of float32 decimals 1 in 4,096 looks like one."""
LARGEST_EXACT_POWER = 22
"""Largest exact power: 10 to this power is a double, so that one multiplication or division by it is rounded once."""


def in_precision(floats: Floats, precision: Precision) -> Floats:
    """Return floats in the precision in which a reference had them.

    In float64, a number that was a float32 before (0.10000000149011612) becomes the decimal that it was written as
    (0.1), so that both compare as equal.
    """
    if precision == "float64":
        return as_written(floats)
    with np.errstate(over="ignore"):
        narrow = floats.astype(precision).astype(np.float64)
    lost = np.isinf(narrow) & np.isfinite(floats)
    return np.where(lost, floats, narrow) if lost.any() else narrow


def as_written(floats: Floats) -> Floats:
    """Return floats, with each that only a float32 explains replaced by the shortest decimal of that float32.

    Such a number equals its own float32, is not whole, and is no multiple of a power of two by less than SIMPLE. It
    has no decimal of nine digits or fewer, and is of a size that people write down (WRITTEN). Of doubles that were
    never a float32, one in 2^29 is such a number.
    """
    size = np.abs(floats)
    with np.errstate(over="ignore", invalid="ignore"):
        known = (size >= WRITTEN[0]) & (size < WRITTEN[1]) & (floats != np.rint(floats))
        rows = np.flatnonzero(known & (floats.astype(np.float32) == floats))
    if not len(rows):
        return floats
    parts = np.frexp(floats[rows])[0] * SIMPLE
    rows = rows[parts != np.rint(parts)]
    if not len(rows):
        return floats
    rows = rows[_rounded(floats[rows], 9) != floats[rows]]
    if not len(rows):
        return floats
    found = floats.copy()
    found[rows] = shortest_decimals(floats[rows], "float32")
    return found


def shortest_decimals(floats: Floats, precision: Precision) -> Floats:
    """Return numbers of a narrower type as the shortest decimals that identify them in this type.

    Nine significant digits identify every float32, five every float16 (IEEE 754, 5.12.2). Whole numbers and values
    that are not finite are unchanged.
    """
    if precision == "float64":
        return floats
    found = floats.copy()
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(np.isfinite(floats) & (floats != np.rint(floats)))
    values = floats[rows]
    narrow, written = values.astype(precision), values.copy()
    for digits in range(9 if precision == "float32" else 5, 0, -1):
        candidate = _rounded(values, digits)
        same = candidate.astype(precision) == narrow
        written[same] = candidate[same]
    found[rows] = written
    return found


def _rounded(values: Floats, digits: int) -> Floats:
    """Round finite values, none of them 0, to this many significant digits: to the doubles of such decimals."""
    exponent = digits - 1 - np.floor(np.log10(np.abs(values)))
    scale = 10.0 ** np.minimum(np.abs(exponent), LARGEST_EXACT_POWER)
    found: Floats = np.where(exponent >= 0, np.rint(values * scale) / scale, np.rint(values / scale) * scale)
    for row in np.flatnonzero(np.abs(exponent) > LARGEST_EXACT_POWER).tolist():
        found[row] = float(f"{values[row]:.{digits - 1}e}")
    return found
