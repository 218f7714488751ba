"""The permutation law of a table of counts where few tables can come about: all of them, with their chances."""

from __future__ import annotations

from math import sqrt

import numpy as np

from app.core.evaluation.divergence import divergence_terms
from app.core.reference.layout import Floats, Integers

MOST_TABLES = 3_000
"""Up to this many tables are listed."""
SPREAD, MARGIN = 7.0, 8.0
"""Counts further from their mean than this many deviations and this many rows are left out: 1e-9 of the chance."""
TIE = 1e-12
"""Divergences (bits) nearer than this are the same: only the order of adding differs."""


def listed_law(window: Integers, totals: Integers, n: int, m: int) -> tuple[float, float, float] | None:
    """Divergence in bits, its mean over permutations and the share of these with at least as much.

    `window`: counts by category among its n rows; `totals`: with those of the reference's m rows, all above 0.
    None where more than MOST_TABLES tables can come about, or the window's own is none of the likely ones. Categories
    with a single row count as one, since their divergence depends only on how many of them are in the window.
    """
    several = totals > 1
    if np.count_nonzero(several) > MOST_TABLES.bit_length():  # each has two counts at least
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
    """The likely counts of each; None where the tables are too many, or `seen` is not among them."""
    share = n / (n + m)
    ranges: list[tuple[int, int]] = []
    tables, widest = 1, 1
    for size, a in zip(sizes, seen, strict=True):
        mean = size * share
        spread = SPREAD * sqrt(mean * (1.0 - share)) + MARGIN
        low, high = max(0, int(mean - spread), size - m), min(size, int(mean + spread) + 1, n)
        width = high - low + 1
        tables *= min(width, widest)  # the widest follows from the others
        widest = max(width, widest)
        if tables > MOST_TABLES or not low <= a <= high:
            return None
        ranges.append((low, high))
    return ranges


def _part(size: int, low: int, high: int, n: int, m: int, *, linear: bool) -> tuple[Floats, Floats]:
    """Of counts from `low` to `high`: their divergence and the logarithm of their ways, less that of the first.

    `linear`: `size` categories with a row each.
    """
    a = np.arange(low, high + 1, dtype=np.float64)
    ways = np.zeros(len(a))
    np.cumsum(np.log((size - a[:-1]) / (a[:-1] + 1.0)), out=ways[1:])
    if linear:
        here, there = divergence_terms(np.array([1.0, 0.0]), np.array([0.0, 1.0]), n, m).tolist()
        return a * here + (size - a) * there, ways
    return divergence_terms(a, size - a, n, m), ways
