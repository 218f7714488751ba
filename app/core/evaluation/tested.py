"""What a test says of each column at each scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.reference.layout import Floats

MARGIN = 0.5
"""Of an effect's floor: a true difference up to this is harmless, and is not found however many rows there are."""
SURE_CALM = 2.3263
"""Standard deviations: a difference as large as its floor is called calm with a chance of 1 in 100 at most."""

LIKELY_CALM = 0.6745
"""Standard deviations: with a chance of 1 in 4 at most. What the newest panes contradict so far is not found in longer
spans; an alert that fires does not end by it. Between the two levels an alert neither starts nor ends."""

SUSPECT = 1e-3
"""From this p-value on what is not found is not as usual either: an alert that fires does not end there."""

BEYOND = 0.01
"""The largest chance that sampling alone brings an effect beyond the usual one, where that is more than the margin. The
usual effect is a bound already, so that this need not be shared over all tests."""


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """Scales x columns. `effect`: its size; `found`: at or above the floor, significant beyond the margin, and beyond
    what is usual.

    `p_value`: of a difference that large if the true one is at the margin; `calm`: the true effect is below the floor,
    but for a chance of 1 in 100; `quiet`: for one of 1 in 4. `strength`: the effect in units of what chance brings, to
    compare scales. `beyond`: the chance that sampling brings such an effect if the true one is the usual one.
    """

    effect: Floats
    p_value: Floats
    strength: Floats
    found: NDArray[np.bool_]
    calm: NDArray[np.bool_]
    quiet: NDArray[np.bool_]
    beyond: Floats

    @property
    def suspicious(self) -> NDArray[np.bool_]:
        """Return what is not as usual, found or not."""
        return np.asarray((self.p_value < SUSPECT) & (self.beyond < BEYOND) & (self.effect > 0.0))


def effective(n: Floats, reference: Floats) -> Floats:
    """Return what a comparison of n rows with m of the reference is worth: n m / (n + m) rows; 0 without any."""
    return np.asarray(n * reference / np.maximum(n + reference, 1.0), np.float64)
