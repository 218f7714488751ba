"""River's ADWIN, KSWIN and Page-Hinkley at a stated rate of false alarms. Started by `benchmarks.goal_river`.

python -m benchmarks.river_detectors '{"series": [...], "rates": {...}, "streams": 12, "share": 1, "most_panes": 45}'

Each detector reads one series of independent values, row by row. Its parameter is set on series that do not change: the
rates of false alarms at several values of it, a line (or a parabola) through their logarithms, and where that is at the
wanted rate. KSWIN's is the chance of a false alarm in a row itself, as its samples are those of its p-value. Then
series of their own change after 5,000 rows, and the rows until the first alarm are counted.

KSWIN's p-value is looked up: of two samples of one size it depends on the statistic alone, so each is computed once by
the function that KSWIN calls.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import river
from numpy.typing import NDArray
from river import drift
from river.drift import kswin
from scipy import stats

Floats = NDArray[np.float64]
WARM_UP = 5_000
FEWEST = 8
"""False alarms at a value of the parameter, with which its rate is taken into the fit."""


class LookedUp:
    """`scipy.stats` for KSWIN: the p-value of two samples of one size, by their statistic."""

    def __init__(self) -> None:
        self._known: dict[int, list[float]] = {}

    def ks_2samp(self, one: Sequence[float], other: Sequence[float], method: str = "auto") -> tuple[float, float]:
        """Return the statistic and its p-value, which is the exact one for so few rows."""
        n = len(one)
        a, b = np.sort(one), np.sort(other)
        both = np.concatenate([a, b])
        gaps = np.searchsorted(a, both, side="right") - np.searchsorted(b, both, side="right")
        most = int(np.abs(gaps).max())
        if n not in self._known:
            self._known[n] = [float(stats.ks_2samp(np.arange(n) + 0.5, np.arange(n) + k).pvalue) for k in range(n + 1)]
        return most / n, self._known[n][most]


def series_of(kind: str, level: float, rows: int, rng: np.random.Generator) -> list[float]:
    """Normal values with a mean, or 0 and 1 with a share."""
    values = rng.normal(level, 1.0, rows) if kind == "number" else (rng.random(rows) < level).astype(np.float64)
    found: list[float] = values.tolist()
    return found


def alarms_of(detector: Any, values: Sequence[float]) -> int:
    """How often a detector alarms; it begins anew after each."""
    found = 0
    for value in values:
        detector.update(value)
        found += detector.drift_detected
    return found


class Tuned:
    """One detector: how it is made of its parameter, the values that are tried, and what the rate depends on."""

    def __init__(
        self,
        name: str,
        make: Callable[[float], Any],
        tried: Sequence[float],
        scale: Callable[[float], float],
        back: Callable[[float], float],
        rows: int,
        degree: int = 1,
    ) -> None:
        self.name, self.make, self.tried, self.scale, self.back = name, make, tried, scale, back
        self.rows, self.degree = rows, degree

    def rates(self, kind: str, level: float, share: float, rng: np.random.Generator) -> list[tuple[float, int, int]]:
        """The parameter's values, and the false alarms that each gave in so many rows."""
        rows = max(2_000, round(self.rows * share))
        return [(one, alarms_of(self.make(one), series_of(kind, level, rows, rng)), rows) for one in self.tried]

    def parameter(self, rates: Sequence[tuple[float, int, int]], rate: float) -> float | None:
        """The parameter with a rate of false alarms in a row; None where too few values of it gave any."""
        if not self.tried:
            return rate
        known = [(self.scale(one), math.log(n / rows)) for one, n, rows in rates if n >= FEWEST]
        degree = min(self.degree, len(known) - 1)
        if degree < 1:
            return None
        x, y = np.array(known).T
        line = np.polynomial.Polynomial.fit(x, y, degree).convert()
        roots = np.asarray((line - math.log(rate)).roots())
        real = [float(root.real) for root in roots if abs(root.imag) < 1e-9]
        rarer = x[np.argmin(y)]
        beyond = [root for root in real if (root - rarer) * (rarer - x[np.argmax(y)]) >= 0] or real
        return self.back(min(beyond, key=lambda root: abs(root - rarer))) if beyond else None


def tuned(deviation: float) -> list[Tuned]:
    """The detectors for values with this standard deviation."""
    seeds = iter(range(1, 1_000_000))
    return [
        Tuned("ADWIN", lambda p: drift.ADWIN(delta=p), (0.9, 0.5, 0.2, 0.05, 0.01), math.log, math.exp, 6_000_000),
        Tuned("KSWIN (100, 30)", lambda p: drift.KSWIN(alpha=p, seed=next(seeds)), (), float, float, 0),
        Tuned(
            "KSWIN (1000, 300)", lambda p: drift.KSWIN(alpha=p, window_size=1000, stat_size=300, seed=next(seeds)), (),
            float, float, 0,
        ),
        Tuned(
            "Page-Hinkley", lambda p: drift.PageHinkley(threshold=p),
            [deviation * t for t in (120, 160, 200, 240, 280)], float, float, 3_000_000, 2,
        ),
        Tuned(
            "Page-Hinkley, delta a quarter sd", lambda p: drift.PageHinkley(threshold=p, delta=0.25 * deviation),
            [deviation * t for t in (5, 8, 11, 14, 17)], float, float, 1_500_000,
        ),
    ]  # fmt: skip


def delay_of(detector: Any, kind: str, before: float, after: float, most: int, rng: np.random.Generator) -> int | None:
    """Rows after the change until the first alarm; None where there is none in the most."""
    for value in series_of(kind, before, WARM_UP, rng):
        detector.update(value)
    for number, value in enumerate(series_of(kind, after, most, rng), 1):
        detector.update(value)
        if detector.drift_detected:
            return number
    return None


def main(asked: str) -> None:
    """Print one JSON object."""
    wanted = json.loads(asked)
    looked_up = LookedUp()
    check = np.random.default_rng(0).normal(size=(20, 2, 30))
    for one, other in check:
        expected = stats.ks_2samp(one, other)
        assert np.allclose(looked_up.ks_2samp(one, other), (expected.statistic, expected.pvalue))
    kswin.stats = looked_up
    rng = np.random.default_rng(17)
    found: list[dict[str, Any]] = []
    for series in wanted["series"]:
        kind, before = series["kind"], series["before"]
        for one in tuned(1.0 if kind == "number" else math.sqrt(before * (1.0 - before))):
            rates = one.rates(kind, before, wanted["share"], rng)
            for n, rate in wanted["rates"].items():
                parameter = one.parameter(rates, rate)
                for words, after in series["after"].items():
                    delays: list[int | None] = []
                    if parameter is not None:
                        most = round(wanted["most_panes"] * int(n) / 60)
                        delays = [
                            delay_of(one.make(parameter), kind, before, after, most, rng)
                            for _ in range(wanted["streams"])
                        ]
                    found.append({"detector": one.name, "words": words, "n": int(n), "parameter": parameter,
                                  "rows": delays, "rates": rates})  # fmt: skip
    print(json.dumps({"version": river.__version__, "found": found}))


if __name__ == "__main__":
    main(sys.argv[1])
