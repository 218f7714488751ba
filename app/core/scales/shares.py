"""Tests of missing values, unseen categories and values of the wrong type at all scales: a share above the expected."""

from __future__ import annotations

import numpy as np
from scipy import special

from app.core.evaluation.tested import BEYOND, LIKELY_CALM, MARGIN, SURE_CALM, Tested, effective
from app.core.evaluation.usual_effects import floors, margins, shows_an_end
from app.core.reference.layout import Floats
from app.core.scales.categories import binomial_tail
from app.core.scales.levels import Levels


def share_tests(
    counts: Floats, n: Floats, expected: Floats, reference: Floats, allowed: float, levels: Levels, usual: Floats
) -> Tested:
    """Test `counts` of n rows (scales x columns) against an expected share (columns) of `reference` rows.

    The effect is the rise of the share. A column is found where the rise is above `allowed`, and the chance of as
    many rows is small by the binomial law's tail: below the level of shares if there is no rise, and below that of
    harmless differences if the true rise is half of `allowed`. `usual` (scales x columns): the rise must also exceed
    this, by a margin and by more than sampling brings.
    """
    rows = effective(n, reference)
    share = counts / np.maximum(n, 1.0)
    rise = np.where(n > 0.0, share - expected, 0.0)
    p_value = _chance(share, rows, np.broadcast_to(expected + MARGIN * allowed, share.shape))
    beyond = _chance(share, rows, expected + margins(allowed, usual))
    most = floors(allowed, usual)
    limit = np.minimum(expected + most, 1.0)
    below = (rows > 0.0) & (share < limit)
    tail = np.ones(share.shape)
    tail[below] = binomial_tail(share[below], rows[below], limit[below])
    nothing = _chance(share, rows, np.broadcast_to(expected, share.shape))
    found = (rise > most) & (nothing < levels.share) & (p_value < levels.harmless) & (beyond < BEYOND)
    shown = shows_an_end(allowed, usual)
    calm, quiet = shown & (tail < special.ndtr(-SURE_CALM)), shown & (tail < special.ndtr(-LIKELY_CALM))
    return Tested(rise, p_value, rise * np.sqrt(rows), found, calm, quiet, beyond)


def _chance(share: Floats, rows: Floats, bound: Floats) -> Floats:
    """Return the chance of such shares if the true ones are at a bound; 1 for shares that are not above it."""
    chance = np.ones(share.shape)
    large = (share > bound) & (rows > 0.0)
    chance[large] = binomial_tail(share[large], rows[large], bound[large])
    return chance
