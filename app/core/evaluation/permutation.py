"""The permutation test of the Jensen-Shannon divergence of categories, without permuting.

Without drift the rows of window and reference are exchangeable: given each category's total t over both sides, the
window is n of all N = n + m rows, drawn without replacement. The p-value is the share of such draws with at least the
window's divergence. The law of the divergence, a sum over categories, comes from that of each:

- the counts are independent binomials (t, n/N), given that their sum is n. Mean, variance and third cumulant of the
  divergence under that condition follow from its joint cumulants with the sum (`_conditional`);
- a gamma law with these three (Pearson's type III) gives the tail;
- where few tables can come about (two categories, some rare ones), they are listed (`permutation_tables`);
- where all counts are large, all of these are the chi-square law, with the categories less one as degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from app.core.evaluation.divergence import LN2, divergence_terms
from app.core.evaluation.permutation_tables import MARGIN, SPREAD, listed_law
from app.core.reference.layout import Floats, Integers

LARGE = 100.0
"""Expected rows from which on the law is the chi-square: every category needs this many on either side."""
MANY = 32
"""Number of categories from which on those with the same total are counted together."""
PLACES = 32
"""Maximum counts of a range that are used, evenly spaced.

At a distance of half a deviation, a sum over them equals the whole sum.
"""
AT_ONCE = 1 << 17
"""Maximum places of counts that are judged together."""
CAREFUL = 1.05
"""Factor by which the gamma law's tail is enlarged: it may be 3 % too small where p is about 0.01."""
SMALLEST_SKEW = 1e-3
"""Skew below which the gamma law is the normal one."""
NO_SPREAD = 1e-9
"""Share of the divergence: a smaller deviation over permutations is rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A column's counts by category in window and reference, of one length. Each side has at least one row."""

    window: Integers
    reference: Integers


@dataclass(frozen=True, slots=True)
class PermutationResult:
    """A table's divergence (bits), its mean over permutations, and the share of permutations with at least as much."""

    divergence: float
    mean: float
    p_value: float


def permutation_tests(tables: Sequence[Table]) -> list[PermutationResult]:
    """Judge each table. The order of its categories and categories without rows do not matter.

    The p-value is within a factor of 2 of that of 10,000 permutations, down to 0.001; exact where the tables are few.
    """
    found: dict[int, PermutationResult] = {}
    margins: dict[int, _Margins] = {}
    for i, table in enumerate(tables):
        window, totals = table.window, table.window + table.reference
        present = totals > 0
        if not present.all():
            window, totals = window[present], totals[present]
        n, m = int(window.sum()), int(table.reference.sum())
        expected = int(totals.min()) * min(n, m) / (n + m)
        if len(totals) == 1:
            found[i] = PermutationResult(0.0, 0.0, 1.0)
        elif expected >= LARGE:
            found[i] = _chi_square(window, totals, n, m)
        elif (listed := listed_law(window, totals, n, m)) is not None:
            found[i] = PermutationResult(*listed)
        else:
            margins[i] = _margins(window, totals, n, m)
    for group in _groups(margins):
        found.update(zip(group, _gamma_law([margins[i] for i in group]), strict=True))
    return [found[i] for i in range(len(tables))]


def _chi_square(window: Integers, totals: Integers, n: int, m: int) -> PermutationResult:
    """Judge a table by the chi-square law: 8 ln2 nm/(n+m) times the divergence in bits (Menendez et al. 1997)."""
    divergence, degrees = float(divergence_terms(window, totals - window, n, m).sum()), len(totals) - 1
    factor = 8.0 * LN2 * (n * m / (n + m))
    return PermutationResult(divergence, degrees / factor, float(special.chdtrc(degrees, factor * divergence)))


@dataclass(frozen=True, slots=True, eq=False)
class _Margins:
    """The values that permuting leaves unchanged, and the divergence.

    They are n, m, each total, and how many categories have this total.
    """

    divergence: float
    n: int
    m: int
    totals: Integers
    categories: Integers


def _margins(window: Integers, totals: Integers, n: int, m: int) -> _Margins:
    divergence = float(divergence_terms(window, totals - window, n, m).sum())
    if len(totals) < MANY:
        return _Margins(divergence, n, m, totals, np.ones_like(totals))
    return _Margins(divergence, n, m, *np.unique(totals, return_counts=True))


def _groups(margins: dict[int, _Margins]) -> Iterator[list[int]]:
    """Yield groups of tables that are judged together: within AT_ONCE places, or a single one."""
    group: list[int] = []
    places = 0
    for i, one in margins.items():
        more = len(one.totals) * PLACES
        if group and places + more > AT_ONCE:
            yield group
            group, places = [], 0
        group.append(i)
        places += more
    if group:
        yield group


def _gamma_law(margins: Sequence[_Margins]) -> list[PermutationResult]:
    """Judge tables by three moments of their divergence over permutations."""
    mean, variance, third = _conditional(margins)
    value = np.array([one.divergence for one in margins])
    deviation = np.sqrt(np.maximum(variance, 0.0))
    varied = deviation > NO_SPREAD * np.maximum(mean, np.finfo(np.float64).tiny)
    deviation[~varied] = 1.0
    skew = np.maximum(third / deviation**3, SMALLEST_SKEW)
    shape = 4.0 / skew**2
    beyond = special.gammaincc(shape, np.maximum(shape + (value - mean) / deviation * np.sqrt(shape), 0.0))
    p = np.where(varied, np.minimum(CAREFUL * beyond, 1.0), 1.0)
    return [PermutationResult(*row) for row in zip(value.tolist(), mean.tolist(), p.tolist(), strict=True)]


def _conditional(margins: Sequence[_Margins]) -> tuple[Floats, Floats, Floats]:
    """Return mean, variance and third cumulant of each table's divergence over permutations.

    With S the divergence and A the sum of independent binomial counts, the law of S given A = E(A) is needed. Take R
    = S - E(S) - slope (A - E(A)), uncorrelated with A, and the joint cumulants k_ij of R and A: each is the sum of
    those of the categories. The cumulants of R given A are the coefficients in u of K(u, v) - log(K_vv(u, v) / k_02)
    / 2, where K is the joint cumulant function and v makes K_v zero: Laplace's method for the integral over v, as in
    the double saddlepoint approximation (Skovgaard, J. Appl. Prob. 24, 1987; Barndorff-Nielsen & Cox, Asymptotic
    Techniques, 1989).
    """
    sizes = [len(one.totals) for one in margins]
    tables = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    table_of = np.repeat(np.arange(len(margins)), sizes)
    n = np.array([one.n for one in margins], np.float64)
    m = np.array([one.m for one in margins], np.float64)
    totals = np.concatenate([one.totals for one in margins]).astype(np.float64)
    categories = np.concatenate([one.categories for one in margins]).astype(np.float64)

    row, starts, counts, weight = _counts(totals, (n / (n + m))[table_of])
    part = divergence_terms(counts, totals[row] - counts, n[table_of][row], m[table_of][row])

    def expected(values: Floats) -> Floats:
        """Return the expectation over the counts of each distinct total."""
        return np.add.reduceat(weight * values, starts, axis=-1)

    def summed(values: Floats) -> Floats:
        """Return the sum over the categories of each table."""
        return np.add.reduceat(categories * values, tables, axis=-1)

    mean = expected(part)
    part = part - mean[row]
    a = counts - expected(counts)[row]
    square = a * a
    m02, with_part = expected(np.stack([square, part * a]))
    k02, covariance = summed(np.stack([m02, with_part]))
    r = part - (covariance / k02)[table_of][row] * a
    rr = r * r
    m20, m30, m11, m03, m12, m21, m22, m13, m31, m32 = expected(
        np.stack([rr, rr * r, r * a, square * a, r * square, rr * a, rr * square, r * square * a, rr * r * a,
                  rr * r * square])
    )  # fmt: skip
    k20, k30, k03, k12, k21, k22, k13, k31, k32 = summed(
        np.stack([
            m20, m30, m03, m12, m21,
            m22 - m20 * m02 - 2.0 * m11**2,
            m13 - 3.0 * m11 * m02,
            m31 - 3.0 * m20 * m11,
            m32 - 3.0 * m20 * m12 - 6.0 * m11 * m21 - m02 * m30,
        ])
    )  # fmt: skip
    v2 = -k21 / (2.0 * k02)
    v3 = -(k12 * v2 + k31 / 6.0) / k02
    x1 = k12 / k02
    x2 = (k03 * v2 + k22 / 2.0) / k02
    x3 = (k03 * v3 + k13 * v2 + k32 / 6.0) / k02
    return summed(mean) - x1 / 2.0, k20 - x2 + x1**2 / 2.0, k30 - 3.0 * (x3 - x1 * x2 + x1**3 / 3.0)


def _counts(totals: Floats, share: Floats) -> tuple[Integers, Integers, Floats, Floats]:
    """Return the likely counts of binomials (total, share), concatenated: row, starts of rows, count, chance."""
    mean = totals * share
    spread = SPREAD * np.sqrt(mean * (1.0 - share)) + MARGIN
    low, high = np.maximum(np.floor(mean - spread), 0.0), np.minimum(np.ceil(mean + spread), totals)
    places = np.minimum(high - low + 1.0, PLACES).astype(np.int64)
    step = (high - low) / np.maximum(places - 1, 1)
    starts = np.concatenate([[0], np.cumsum(places)[:-1]])
    row = np.repeat(np.arange(len(totals)), places)
    counts = np.minimum(low[row] + (np.arange(len(row)) - starts[row]) * step[row], totals[row])
    chance = counts * np.log(share / (1.0 - share))[row]
    chance -= special.gammaln(counts + 1.0) + special.gammaln(totals[row] - counts + 1.0)
    weight = np.exp(chance - np.maximum.reduceat(chance, starts)[row])
    return row, starts, counts, weight / np.add.reduceat(weight, starts)[row]
