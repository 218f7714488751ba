"""Learned variability of a reference, in the form that the profile keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ColumnUsual:
    """The largest effects to be expected of one column without any change, at each span of `ReferenceUsual.spans`.

    `distribution`: the effect on its values, as KS statistic or Jensen-Shannon distance, less what sampling alone
    brings (see `app.core.usual.distances`). `missing`: the rise of the share of missing values above the reference's.
    `unseen`: the rise of the share of values in categories that the rest of the reference does not have (for numbers:
    empty).
    """

    name: str
    distribution: tuple[float, ...]
    missing: tuple[float, ...]
    unseen: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricUsual:
    """The largest drops to be expected of one metric without any change, at each span of `ReferenceUsual.spans`.

    `drop`: the drop as a share of the metric's scale (see `evaluation.degradation.scale_of`), less what sampling
    brings.
    """

    name: str
    drop: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ReferenceUsual:
    """Differences between windows of a reference and the rest of it.

    `since` and `until`: times of its first and last row (epoch seconds), `rows` how many have a time. `spans`:
    lengths of windows in seconds, ascending. `windows`: how many of each length, side by side, the reference has.
    `source`: `live` where the first weeks of a stream were learned from instead, as its reference has no times. Then
    all windows are compared with that reference.
    """

    since: float
    until: float
    rows: int
    spans: tuple[float, ...]
    windows: tuple[int, ...]
    columns: tuple[ColumnUsual, ...]
    metrics: tuple[MetricUsual, ...] = ()
    source: Literal["reference", "live"] = "reference"

    @property
    def rate(self) -> float:
        """Return the reference's rows per second."""
        return self.rows / max(self.until - self.since, 1e-9)
