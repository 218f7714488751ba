"""Results of a test for each column at each scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.reference.layout import Floats

MARGIN = 0.5
"""Share of an effect's floor: a true difference up to this is harmless, and is never found, whatever the rows."""
SURE_CALM = 2.3263
"""Standard deviations: a difference as large as its floor is called calm with a chance of at most 1 in 100."""

LIKELY_CALM = 0.6745
"""Standard deviations for a chance of at most 1 in 4.

A finding that the newest panes contradict at this level is not found in longer spans; a firing alert does not resolve
by it. Between the two levels an alert neither starts nor ends.
"""

SUSPECT = 1e-3
"""P-value below which a column that is not found is not as usual either: a firing alert does not resolve there."""

BEYOND = 0.01
"""Largest chance that sampling alone brings an effect beyond the usual one, where this is more than the margin.

The usual effect is a bound already, so this chance need not be shared over all tests.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """Results of tests (scales x columns).

    `effect`: its size; `found`: at or above the floor, significant beyond the margin, and beyond the usual effect.
    `p_value`: the chance of this effect if the true one is at the margin. `calm`: the true effect is below the floor,
    except for a chance of 1 in 100; `quiet`: except for a chance of 1 in 4. `strength`: the effect in units of what
    chance brings, to compare scales. `beyond`: the chance that sampling brings such an effect if the true one is the
    usual one.
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
        """Return whether each column is not as usual, found or not (scales x columns)."""
        return np.asarray((self.p_value < SUSPECT) & (self.beyond < BEYOND) & (self.effect > 0.0))


def effective(n: Floats, reference: Floats) -> Floats:
    """Return the effective rows of a comparison of n rows with m of the reference: n m / (n + m); 0 without rows."""
    return np.asarray(n * reference / np.maximum(n + reference, 1.0), np.float64)
