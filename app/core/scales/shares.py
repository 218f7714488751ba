"""Missing values, unseen categories and values of the wrong type at all scales: a share beyond what is expected."""

from __future__ import annotations

import numpy as np
from scipy import special

from app.core.layout import Floats
from app.core.scales.categories import binomial_tail
from app.core.scales.tested import LIKELY_CALM, MARGIN, SURE_CALM, Tested, effective


def share_tests(counts: Floats, n: Floats, expected: Floats, reference: Floats, allowed: float, level: float) -> Tested:
    """Test `counts` of n rows (scales x columns) against an expected share (columns) of `reference` rows.

    The effect is the rise of the share. Found where it is above `allowed`, and the chance of as many rows, if the true
    rise is half of that, is below `level`: the binomial law's tail.
    """
    rows = effective(n, reference)
    share = counts / np.maximum(n, 1.0)
    rise = np.where(n > 0.0, share - expected, 0.0)
    bound = np.minimum(expected + MARGIN * allowed, 1.0)
    p_value = np.ones(share.shape)
    large = (rise > MARGIN * allowed) & (rows > 0.0)
    bounds = np.broadcast_to(bound, share.shape)
    p_value[large] = binomial_tail(share[large], rows[large], bounds[large])
    limit = np.broadcast_to(np.minimum(expected + allowed, 1.0), share.shape)
    below = (rows > 0.0) & (share < limit)
    tail = np.ones(share.shape)
    tail[below] = binomial_tail(share[below], rows[below], limit[below])
    found = (rise > allowed) & (p_value < level)
    calm, quiet = tail < special.ndtr(-SURE_CALM), tail < special.ndtr(-LIKELY_CALM)
    return Tested(rise, p_value, rise * np.sqrt(rows), found, calm, quiet)
