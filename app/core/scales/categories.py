"""Tests of categorical columns at all scales: the categories are divided into two, and tested against a margin.

The distance of two groups of categories is at most that of the categories themselves, so each finding is real. The
divisions tried are each category against the rest, and those that have become more frequent against the rest. The
chance of such a share, if the true one is at the margin, is the binomial law's tail, times the number of divisions
that could have been taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from app.core.evaluation.divergence import LN2, divergence_terms
from app.core.evaluation.tested import BEYOND, LIKELY_CALM, MARGIN, SURE_CALM, Tested, effective
from app.core.evaluation.usual_effects import floors, margins, shows_an_end
from app.core.reference.layout import Floats, Layout
from app.core.scales.levels import Levels
from app.core.scales.suffixes import Suffixes

FEW = 50
"""Minimum rows to show that a categorical column is calm: with fewer, its shares may match the reference by luck."""
MOST_CELLS = 1000
"""Maximum exponent of the number of sets, as a float holds; with more categories no set is unlikely enough."""
AT_MARGIN_WAYS = 2.0
"""Ways for a column at the margin: one category that has grown or shrunk, and the set of those that have grown."""
ROUNDS = 3
"""Steps towards the share that is exactly as far from the reference as the margin."""


def category_tests(
    layout: Layout, places: Sequence[int], suffixes: Suffixes, floor: float, levels: Levels, usual: Floats
) -> Tested:
    """Test the columns of categories at these places of the layout at every scale.

    The effect is the distance of the most unlikely division. `usual` (scales x columns): the effect must also exceed
    this, by a margin and by more than sampling brings.
    """
    shape = (len(suffixes.spans), len(places))
    effect, p_value, calm, quiet = np.zeros(shape), np.ones(shape), np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    limit, shown = floors(floor, usual), shows_an_end(floor, usual)
    if not len(places):
        return Tested(effect, p_value, effect.copy(), calm.copy(), calm, quiet, p_value.copy())
    rows, divided = np.zeros(shape), []
    for i, slots in enumerate(layout.slots[place] for place in places):
        counts = suffixes.part(slots.offset, slots.offset + slots.missing)
        n = counts.sum(axis=1)
        rows[:, i] = effective(n, np.array(float(slots.total)))
        p, q = counts / np.maximum(n, 1.0)[:, None], slots.shares
        whole = _distance(p, q, rows[:, i])
        below = (limit[:, i] - whole) * np.sqrt(8.0 * LN2 * rows[:, i])
        enough = (rows[:, i] >= FEW) & shown[:, i]
        calm[:, i], quiet[:, i] = enough & (below >= SURE_CALM), enough & (below >= LIKELY_CALM)
        divided.append(_divided(p, q))
    sizes = np.array([len(one.ways) for one in divided])
    tried = np.concatenate([one.tried for one in divided], axis=1)
    expected = np.concatenate([one.expected for one in divided], axis=1)
    ways = np.concatenate([one.ways for one in divided])
    size, chance = divisions(tried, expected, np.repeat(rows, sizes, axis=1), ways, MARGIN * floor)
    first = np.cumsum(sizes) - sizes
    parts = [slice(start, start + length) for start, length in zip(first.tolist(), sizes.tolist(), strict=True)]
    within = np.stack([np.argmin(chance[:, part], axis=1) for part in parts], axis=1)
    best, scale = within + first, np.arange(shape[0])[:, None]
    effect, p_value = size[scale, best], chance[scale, best]
    best_p, best_q = tried[scale, best], expected[scale, best]
    significant = is_significant(best_p, best_q, rows, p_value, ways[best], within < sizes - 1, levels)
    beyond = _beyond(best_p, best_q, rows, effect, margins(floor, usual))
    found = (effect > limit) & significant & (beyond < BEYOND)
    return Tested(effect, p_value, effect * np.sqrt(rows), found, calm, quiet, beyond)


class _Divided(NamedTuple):
    """Divisions of a column: the shares tried at each scale (scales x divisions), those expected, and their ways.

    First each category by itself, last the set of those that have grown.
    """

    tried: Floats
    expected: Floats
    ways: Floats


def _divided(p: Floats, q: Floats) -> _Divided:
    cells, more = len(q), p > q
    grown, before = np.where(more, p, 0.0).sum(axis=1), np.where(more, q, 0.0).sum(axis=1)
    expected = np.concatenate([np.broadcast_to(q, p.shape), before[:, None]], axis=1)
    return _Divided(
        np.concatenate([p, grown[:, None]], axis=1),
        np.minimum(expected, 1.0),
        np.append(np.full(cells, ways_of_one(cells)), 2.0 ** min(cells + 1, MOST_CELLS)),
    )


def is_significant(
    p: Floats, q: Floats, rows: Floats, p_value: Floats, ways: Floats, single: NDArray[np.bool_], levels: Levels
) -> NDArray[np.bool_]:
    """Return where a division is significant: if nothing is different, and if the column is at the margin.

    `p_value`: its chance at the margin times the `ways`. Where the column as a whole is no further than the margin,
    at most one category by itself is (and its rest, the same division): for a `single` one few ways are left.
    """
    known = rows > 0.0
    nothing = np.ones(p.shape)
    nothing[known] = np.minimum(ways[known] * binomial_tail(p[known], rows[known], q[known]), 1.0)
    left = np.where(single, AT_MARGIN_WAYS / ways, 1.0)
    return np.asarray((nothing < levels.distribution) & (p_value * left < levels.harmless))


def ways_of_one(cells: int) -> float:
    """Return in how many ways one of this many categories is divided from the rest.

    The factors are the two sides of each category, and two families of divisions; the other family is the sets that
    may have grown.
    """
    return 2.0 * 2.0 * cells


def _beyond(p: Floats, q: Floats, rows: Floats, size: Floats, usual: Floats) -> Floats:
    """Return the chance of divisions this far from q if the true ones are at the usual distance; 1 for nearer ones."""
    chance = np.ones(p.shape)
    far = (size > usual) & (rows > 0.0)
    if far.any():
        chance[far] = binomial_tail(p[far], rows[far], at_distance(p[far], q[far], usual[far]))
    return chance


def _distance(p: Floats, q: Floats, rows: Floats) -> Floats:
    terms = divergence_terms(p, np.broadcast_to(q, p.shape), 1, 1)
    return np.where(rows > 0.0, np.sqrt(np.maximum(terms.sum(axis=1), 0.0)), 0.0)


def divisions(p: Floats, q: Floats, rows: Floats, ways: Floats, margin: float) -> tuple[Floats, Floats]:
    """Return each division's distance without what sampling brings, and its chance (1 where the distance is small)."""
    rows = np.broadcast_to(rows, p.shape)
    divergence = two_cells(p, q) - 1.0 / (8.0 * LN2 * np.maximum(rows, 1e-9))
    size = np.sqrt(np.maximum(divergence, 0.0))
    chance = np.ones(p.shape)
    large: NDArray[np.bool_] = (size > margin) & (rows > 0.0)
    if large.any():
        now, then = p[large], q[large]
        bound = at_distance(now, then, margin)
        tail = binomial_tail(now, rows[large], bound)
        chance[large] = np.minimum(np.broadcast_to(ways, p.shape)[large] * tail, 1.0)
    return size, chance


def binomial_tail(share: Floats, rows: Floats, expected: Floats) -> Floats:
    """Return the chance of a share at least as far from the expected one, on its side. `rows` may be a fraction."""
    up = share >= expected
    far, law = np.where(up, share, 1.0 - share), np.where(up, expected, 1.0 - expected)
    return np.asarray(special.betainc(rows * far, rows * (1.0 - far) + 1.0, law), np.float64)


def two_cells(p: Floats, q: Floats) -> Floats:
    """Return the Jensen-Shannon divergence in bits of two shares and their rests."""
    return divergence_terms(p, q, 1, 1) + divergence_terms(1.0 - p, 1.0 - q, 1, 1)


def at_distance(p: Floats, q: Floats, distance: float | Floats) -> Floats:
    """Return the share between q and p that is at this distance from q. All p must be further."""
    step = np.ones(p.shape)
    for _ in range(ROUNDS):
        far = np.sqrt(np.maximum(two_cells(q + step * (p - q), q), 1e-30))
        step = np.minimum(step * distance / far, 1.0)
    return q + step * (p - q)
