"""The Jensen-Shannon divergence as a sum over categories."""

from __future__ import annotations

from math import log

import numpy as np
from scipy import special

from app.core.reference.layout import Floats, Integers

LN2 = log(2.0)


def divergence_terms(a: Floats | Integers, b: Floats | Integers, n: Floats | int, m: Floats | int) -> Floats:
    """Return each category's part of the divergence, in bits: `a` of the window's n rows, `b` of the reference's m.

    The sum of the parts is the square of `scipy.spatial.distance.jensenshannon(base=2)`.
    """
    p, q = a / n, b / m
    middle = (p + q) / 2.0
    return np.asarray((special.rel_entr(p, middle) + special.rel_entr(q, middle)) / (2.0 * LN2), np.float64)
