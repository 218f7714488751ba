"""The permutation law of a table of counts where few tables are possible: they are listed with their chances."""

from __future__ import annotations

from math import sqrt

import numpy as np

from app.core.evaluation.divergence import divergence_terms
from app.core.reference.layout import Floats, Integers

MOST_TABLES = 3_000
"""Maximum number of tables that are listed."""
SPREAD, MARGIN = 7.0, 8.0
"""Counts further from their mean than this many deviations plus this many rows are left out: 1e-9 of the chance."""
TIE = 1e-12
"""Divergences (bits) closer than this are equal: they differ only by the order of adding."""


def listed_law(window: Integers, totals: Integers, n: int, m: int) -> tuple[float, float, float] | None:
    """Return the divergence in bits, its mean over permutations and the share of permutations with at least as much.

    `window`: counts by category among its n rows. `totals`: the same with those of the reference's m rows, all above
    0. Returns None if more than MOST_TABLES tables are possible, or the window's own is not among the likely ones.
    Categories with a single row count as one, since their divergence depends only on how many of them are in the
    window.
    """
    several = totals > 1
    if np.count_nonzero(several) > MOST_TABLES.bit_length():  # each has at least two counts
        return None
    sizes, seen = totals[several].tolist(), window[several].tolist()
    singles = len(totals) - len(sizes)
    if singles:
        sizes.append(singles)
        seen.append(n - sum(seen))
    ranges = _ranges(sizes, seen, n, m)
    if ranges is None:
        return None
    last = max(range(len(sizes)), key=lambda i: ranges[i][1] - ranges[i][0])
    count, value, chance = np.zeros(1, np.int64), np.zeros(1), np.zeros(1)
    own = 0.0
    for i in [*(i for i in range(len(sizes)) if i != last), last]:
        low, high = ranges[i]
        terms, ways = _part(sizes[i], low, high, n, m, linear=singles > 0 and i == len(sizes) - 1)
        own += float(terms[seen[i] - low])
        if i != last:
            count = np.add.outer(count, np.arange(low, high + 1)).ravel()
            value, chance = np.add.outer(value, terms).ravel(), np.add.outer(chance, ways).ravel()
            continue
        rest = n - low - count
        possible = (rest >= 0) & (rest <= high - low)
        rest = rest[possible]
        value, chance = value[possible] + terms[rest], chance[possible] + ways[rest]
    weight = np.exp(chance - chance.max())
    weight /= weight.sum()
    return own, float(weight @ value), min(float(weight[value >= own - TIE].sum()), 1.0)


def _ranges(sizes: list[int], seen: list[int], n: int, m: int) -> list[tuple[int, int]] | None:
    """Return the range of likely counts of each size; None if the tables are too many, or `seen` is not among them."""
    share = n / (n + m)
    ranges: list[tuple[int, int]] = []
    tables, widest = 1, 1
    for size, a in zip(sizes, seen, strict=True):
        mean = size * share
        spread = SPREAD * sqrt(mean * (1.0 - share)) + MARGIN
        low, high = max(0, int(mean - spread), size - m), min(size, int(mean + spread) + 1, n)
        width = high - low + 1
        tables *= min(width, widest)  # the widest range follows from the others
        widest = max(width, widest)
        if tables > MOST_TABLES or not low <= a <= high:
            return None
        ranges.append((low, high))
    return ranges


def _part(size: int, low: int, high: int, n: int, m: int, *, linear: bool) -> tuple[Floats, Floats]:
    """Return the divergence of counts from `low` to `high`, and the logarithm of their ways less the first one's.

    `linear`: `size` categories with a row each.
    """
    a = np.arange(low, high + 1, dtype=np.float64)
    ways = np.zeros(len(a))
    np.cumsum(np.log((size - a[:-1]) / (a[:-1] + 1.0)), out=ways[1:])
    if linear:
        here, there = divergence_terms(np.array([1.0, 0.0]), np.array([0.0, 1.0]), n, m).tolist()
        return a * here + (size - a) * there, ways
    return divergence_terms(a, size - a, n, m), ways
