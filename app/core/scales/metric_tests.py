"""Tests of a metric: the chance of its value over some rows, for a given true drop below the baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from app.core.evaluation.tested import effective
from app.core.reference.layout import Floats
from app.core.scales.categories import binomial_tail


@dataclass(frozen=True, slots=True)
class ShareTest:
    """A metric that is a share: `right` of n, over `rows` rows. The baseline is that of `reference` rows."""

    name: str
    right: int
    n: int
    baseline: float
    rows: int
    reference: int

    def lower(self, drop: float) -> float:
        """Return the chance of a share this low or lower if the true one is below the baseline by `drop`."""
        share, usable, bound = self._at(drop)
        return float(binomial_tail(share, usable, bound)[0]) if self.n and share[0] < bound[0] else 1.0

    def higher(self, drop: float) -> float:
        """Return the chance of a share this high or higher if the true one is below the baseline by `drop`."""
        share, usable, bound = self._at(drop)
        return float(binomial_tail(share, usable, bound)[0]) if self.n and share[0] > bound[0] else 1.0

    def _at(self, drop: float) -> tuple[Floats, Floats, Floats]:
        """Return share, effective rows and bound; for F1 = 2J / (1 + J) those of the share J = tp / (tp + fp + fn)."""
        value = self.baseline - drop
        bound = value / (2.0 - value) if self.name == "f1" else value
        usable = effective(np.array([float(self.n)]), np.array([self.reference * self.n / max(self.rows, 1)]))
        return np.array([self.right / max(self.n, 1)]), usable, np.clip([bound], 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class NormalTest:
    """A metric that is worse by a drop, with the deviation of its own interval, and its error bound."""

    drop: float
    deviation: float
    error_bound: float

    def more(self, drop: float) -> float:
        """Return the chance of a drop this large if the true one is `drop`."""
        return self._chance(self.drop - drop - self.error_bound)

    def less(self, drop: float) -> float:
        """Return the chance of a drop this small if the true one is `drop`."""
        return self._chance(drop - self.drop - self.error_bound)

    def _chance(self, distance: float) -> float:
        return float(special.ndtr(-distance / self.deviation)) if self.deviation > 0.0 else 1.0
