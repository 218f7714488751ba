"""Results of the evaluation of a window, as the core computes them and the reports contain them.

Plain dataclasses, so that the core does not depend on the wire's encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Shape:
    """A column's two distributions in a few points, for a picture.

    Numeric: `at` ascends; `reference` and `current` are the shares at or below each point (both step functions).
    Categorical: `at` are category names, the others their shares.
    """

    at: tuple[float | str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Cause:
    """Most likely cause of a column's change, in words: a guess.

    A value is `factor` times what it was plus `offset`. `kind`: `unit` (a known conversion), `shift`, `factor`,
    `clipped` at one value, `filled` in for some rows, `constant`, `missing`, `type` (values of another one), `new
    category`, `spelling`, `category gone`, `mix`.
    """

    kind: str
    words: str
    factor: float | None = None
    offset: float | None = None


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature's comparison with its reference.

    `p_value` is None where the test could not be made. `effect_size` is the Kolmogorov-Smirnov statistic, or the
    Jensen-Shannon distance without the part that sampling alone causes. `effect`: whether it reaches the `threshold`
    (policy `threshold`: whether the statistic does). `significant` is the decision after Benjamini-Hochberg; `drifted`
    needs both. `missing` are rows without a value; `reference_missing` is their share in the reference.
    `missing_rises`: the window's share is above the reference's by more than chance. `reference_unseen` is the share of
    unseen categories that the reference lets expect (its categories that occur once, Good 1953); `unseen_rises`: the
    window's share is above it by more than chance. `shape`: both distributions in a few points, None without values.
    `usual`: the effect that comes and goes by itself in so long a window, as the reference shows it; `threshold` is
    beyond it. `cause`: the most likely cause, for a column that has drifted or lacks values; null where no simple cause
    explains it.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    test: str
    statistic: float | None
    p_value: float | None
    threshold: float
    effect: bool
    significant: bool
    drifted: bool
    n: int
    missing: int
    invalid: int
    unseen: int
    out_of_range: int
    error_bound: float
    reference: str
    current: str
    direction: str
    unseen_names: dict[str, int]
    reference_missing: float = 0.0
    missing_rises: bool = False
    reference_unseen: float = 0.0
    unseen_rises: bool = False
    shape: Shape | None = None
    effect_size: float | None = None
    usual: float = 0.0
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric of one window against its baseline; `relative` is the drop as a share of `scale`.

    `scale` is the baseline where that is above zero. Else it is the standard deviation of the reference's predictions
    for mae and rmse, 1 for log_loss and brier, and 1 - baseline for r2; null where there is none. `low` and `high`
    bound the value with 95 % confidence. `degraded` needs a drop beyond the threshold that the interval also excludes.
    Where `judged` is false the metric is neither degraded nor not degraded, and `reason` says why. `usual`: a drop that
    comes and goes by itself in so long a time; `threshold` is beyond it. `limit`: a value that decides in the place of
    the drop, from performance.limits with policy `threshold`, which does not consider chance; null where there is none.
    """

    name: str
    value: float | None
    baseline: float | None
    absolute: float | None
    relative: float | None
    low: float | None
    high: float | None
    threshold: float
    error_bound: float
    degraded: bool
    judged: bool = True
    reason: str = ""
    scale: float | None = None
    usual: float = 0.0
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class of a multiclass model: rows of the class, rows predicted as the class; None where there are none."""

    label: str
    actual: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class Volume:
    """The newest `panes` with `recent` predictions, against the usual number in them.

    `expected`: the fewest that came in the same hours of so many `days` ago, half an hour earlier or later included.
    Where it is `found` to have dropped, at today's level of the hours before, if that is lower. Without a known day:
    the mean of the window's other panes, where found a tenth of that. `p_value`: the probability of such a number at
    the expected rate.
    """

    panes: int
    recent: int
    expected: float
    p_value: float
    days: tuple[int, ...] = ()
    found: bool = False
