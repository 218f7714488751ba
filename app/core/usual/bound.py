"""Bound of the effects to be expected, from the windows of a reference: a high quantile, estimated from few windows."""

from __future__ import annotations

import numpy as np
from scipy import special

from app.core.reference.usual import Floats

CHANCE = 0.3
"""Number of windows of one length, in a time as long as the reference's, that exceed the usual effect."""
TAIL = 0.1
"""Share of the windows from which the tail is estimated."""
LEAST = 5.0
"""Minimum number of windows side by side in the tail; at most half of all windows are used."""
CONFIDENCE = 0.75
"""Confidence that the tail is not longer than estimated."""
NEAREST = 1e-9
"""Distance below 1 to which an effect of 1 is reduced."""


def usual_bound(seen: Floats, windows: float, exceeding: float = CHANCE) -> float:
    """Return the usual effect, from effects (0 to 1) of a reference's windows of one length (see `upper_bound`).

    `exceeding`: how many of all windows of this length in as long a time may exceed it.
    """
    return upper_bound(seen, windows, exceeding / max(windows, 1.0))


def upper_bound(seen: Floats, windows: float, chance: float) -> float:
    """Return the effect (0 to 1) that a further window exceeds with at most this `chance`; 1 where none was seen.

    `seen`: the effects of windows that overlap, worth `windows` side by side. The result is never below the largest.

    Beyond a threshold u that a share f of the windows exceeds, the distance to the end at 1 is taken as a power law,
    P(effect > x) = f ((1 - x) / (1 - u))^(1/a), with Hill's estimator a, the mean of ln((1 - u) / (1 - effect)) over
    the windows beyond u (Hill, Ann. Stat. 3, 1975). Its quantile is 1 - (1 - u) (chance / f)^a (Weissman, J. Am.
    Stat. Assoc. 73, 1978). The mean of k = f `windows` exponential excesses has a gamma law; a is enlarged to its
    upper limit at a confidence of 3 in 4, so that fewer windows give a wider bound.
    """
    if not len(seen):
        return 1.0
    distance = np.sort(-np.log(np.maximum(1.0 - seen, NEAREST)))
    share = min(max(TAIL, LEAST / max(windows, 1.0)), 0.5)
    beyond = max(1, round(share * len(distance)))
    threshold = float(distance[max(len(distance) - beyond - 1, 0)])
    excess = float(distance[-beyond:].mean()) - threshold
    several = max(share * windows, 1.0)
    excess *= several / float(special.gammaincinv(several, 1.0 - CONFIDENCE))
    quantile = threshold + excess * np.log(max(share / chance, 1.0))
    return float(-np.expm1(-max(quantile, distance[-1], 0.0)))
