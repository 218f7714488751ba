"""Significance test of a rise of missing values above the reference."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

CHANCE = 0.001
"""Chance that any feature of a window like the reference is reported to miss more values."""


def rises(missing: int, n: int, reference_missing: int, reference_n: int, features: int) -> bool:
    """Return whether `missing` of n rows is significantly more than `reference_missing` of `reference_n`.

    The one-sided two-proportion z-test with the pooled variance (its square is Pearson's chi-square of the 2 x 2
    table), at `CHANCE` over the `features` that are tested together (Bonferroni).
    """
    if not n or not reference_n:
        return False
    pooled = (missing + reference_missing) / (n + reference_n)
    error = sqrt(pooled * (1.0 - pooled) * (1.0 / n + 1.0 / reference_n))
    difference = missing / n - reference_missing / reference_n
    return error > 0.0 and difference / error > NormalDist().inv_cdf(1.0 - CHANCE / max(features, 1))
