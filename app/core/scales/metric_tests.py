"""Tests of a metric: the chance of its value over some rows, for a given true drop below the baseline."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import special


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
        return _tail(share, usable, bound) if self.n and share < bound else 1.0

    def higher(self, drop: float) -> float:
        """Return the chance of a share this high or higher if the true one is below the baseline by `drop`."""
        share, usable, bound = self._at(drop)
        return _tail(share, usable, bound) if self.n and share > bound else 1.0

    def _at(self, drop: float) -> tuple[float, float, float]:
        """Return share, effective rows and bound; for F1 = 2J / (1 + J) those of the share J = tp / (tp + fp + fn)."""
        value = self.baseline - drop
        bound = value / (2.0 - value) if self.name == "f1" else value
        reference = self.reference * self.n / max(self.rows, 1)
        usable = self.n * reference / max(self.n + reference, 1.0)  # as `effective`
        return self.right / max(self.n, 1), usable, min(max(bound, 0.0), 1.0)


def _tail(share: float, rows: float, expected: float) -> float:
    """Return the result of `binomial_tail` for one share. Arrays of one number would take ten times as long."""
    up = share >= expected
    far, law = (share, expected) if up else (1.0 - share, 1.0 - expected)
    return float(special.betainc(rows * far, rows * (1.0 - far) + 1.0, law))


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
