"""The reference profile: the inputs and outputs of a model version when it was good."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from app.core.reference.usual import ReferenceUsual
from app.core.values import kind
from app.core.values.cell import Cell
from app.core.values.precision import in_precision
from app.core.values.reading import PLAIN, Reading, name_of

Kind: TypeAlias = kind.Kind
Task = Literal["binary", "multiclass", "regression", "features"]
"""Task of the model; `features`: its predictions are not known, only its features are watched."""

LAYOUT_VERSION = 2
"""Version of the layout of panes, to be increased with any change of the slots."""
MAX_REFERENCE_VALUES = 10_000
"""Maximum distinct values of a numeric column; one with more is thinned to this many order statistics."""


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """The reference of one column: a feature, the prediction or the probability.

    Numeric: `values` are the m distinct finite reference values, ascending, `counts` how often each occurs,
    `below` and `above` the counts of -inf and +inf. Categorical: `categories` and their `counts`.
    `error_bound` is the largest error of the KS statistic that thinning can cause (0 when exact).
    `centre` and `scale` (both of the finite values) are the units in which panes keep sums. `reading`: how later cells
    are read. `missing` and `invalid` are reference rows without a value, and with one that is none of its kind.
    """

    name: str
    kind: Kind
    values: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    below: int = 0
    above: int = 0
    missing: int = 0
    centre: float = 0.0
    scale: float = 1.0
    error_bound: float = 0.0
    invalid: int = 0
    reading: Reading = PLAIN

    @property
    def total(self) -> int:
        """Return the number of reference rows with a value."""
        return sum(self.counts) + self.below + self.above


@dataclass(frozen=True, slots=True)
class Profile:
    """The reference of one model version.

    A model of task `features` has an empty `prediction` and no labels. `labels` are the classes in the order of the
    confusion matrix (empty for regression); of a binary model `labels[1]` is the positive one. `probability` is that
    of the positive class; with more classes that of the predicted one (the model's confidence). `baseline` are the
    reference's own metrics. `calibration` maps a probability to a calibrated one by linear interpolation between its
    (x, y) points; empty: identity. `ignored` are columns that are known to be no features: events may have them.

    `usual`: how far windows of the reference differ from the rest of it, None where its rows have no times. Panes are
    counted in the same way with it and without, so that it is no part of the profile's identity.
    """

    model: str
    model_version: str
    task: Task
    features: tuple[ColumnProfile, ...]
    prediction: ColumnProfile
    probability: ColumnProfile | None
    labels: tuple[str, ...]
    baseline: dict[str, float]
    estimated_baseline: dict[str, float]
    calibration: tuple[tuple[float, float], ...]
    n: int
    profile_id: str = ""
    ignored: tuple[str, ...] = ()
    usual: ReferenceUsual | None = field(default=None, repr=False)

    @property
    def columns(self) -> tuple[ColumnProfile, ...]:
        """Return all columns in the order of the layout: features, prediction, probability."""
        last = () if self.probability is None else (self.probability,)
        return (*self.features, self.prediction, *last)


def with_identity(profile: Profile) -> Profile:
    """Return the same profile, named by the hash of its content and of the version of its panes' layout.

    So panes that an earlier release has counted in another layout belong to another profile, and are not read.
    """
    digest = hashlib.sha256(f"{LAYOUT_VERSION} {replace(profile, profile_id='')!r}".encode()).hexdigest()
    return replace(profile, profile_id=digest[:16])


def numeric_column(
    name: str,
    raw: NDArray[np.float64],
    limit: int = MAX_REFERENCE_VALUES,
    *,
    reading: Reading = PLAIN,
    invalid: int = 0,
) -> ColumnProfile:
    """Return the reference of a numeric column from its raw values; NaN is missing, infinities are values.

    `invalid` of the NaNs are cells that are no numbers.
    """
    raw = in_precision(raw, reading.precision)
    present = raw[~np.isnan(raw)]
    finite = present[np.isfinite(present)]
    values, counts = np.unique(finite, return_counts=True)
    values = values + 0.0  # -0.0 becomes 0.0
    error_bound = 0.0
    if len(values) > limit:
        values, counts, error_bound = _thin(values, counts, limit, len(present))
    with np.errstate(over="ignore", invalid="ignore"):  # values near the largest float overflow
        scale = float(np.std(finite)) if len(finite) else 0.0
        centre = float(np.median(finite)) if len(finite) else 0.0
    return ColumnProfile(
        name=name,
        kind="numeric",
        values=tuple(values.tolist()),
        counts=tuple(counts.tolist()),
        below=int(np.sum(present == -math.inf)),
        above=int(np.sum(present == math.inf)),
        missing=int(len(raw) - len(present)) - invalid,
        centre=centre if math.isfinite(centre) else 0.0,
        scale=scale if scale > 0 and math.isfinite(scale) else 1.0,
        error_bound=error_bound,
        invalid=invalid,
        reading=reading,
    )


def _thin(
    values: NDArray[np.float64], counts: NDArray[np.int64], limit: int, total: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """Return `limit` order statistics evenly spaced in rank, and the error bound.

    A kept value takes the counts since the last one.
    """
    cumulative = np.cumsum(counts)
    targets = np.linspace(cumulative[0], cumulative[-1], limit)
    kept = np.unique(np.searchsorted(cumulative, targets, side="left"))
    merged = np.diff(np.concatenate([[0], cumulative[kept]]))
    # Between two kept points the true step function rises by the counts that were merged away.
    lost = merged - counts[kept]
    return values[kept], merged, float(lost.max() / total)


def categorical_column(
    name: str, raw: Sequence[str | None], order: Sequence[str] = (), *, reading: Reading = PLAIN
) -> ColumnProfile:
    """Return the reference of a categorical column from its names; None is missing. `order` fixes the first ones."""
    tally: dict[str, int] = dict.fromkeys(order, 0)
    missing = 0
    for value in raw:
        if value is None:
            missing += 1
        else:
            tally[value] = tally.get(value, 0) + 1
    categories = (*order, *sorted(tally.keys() - set(order)))
    return ColumnProfile(
        name=name,
        kind="categorical",
        categories=categories,
        counts=tuple(tally[c] for c in categories),
        missing=missing,
        reading=reading,
    )


def judged_class(profile: Profile, prediction: Cell) -> str:
    """Return the class whose probability is judged: a binary model's positive one, else the predicted one."""
    if profile.task == "multiclass":
        return name_of(prediction, profile.prediction.reading) or ""
    return profile.labels[-1] if profile.labels else ""


def feature_kinds(profile: Profile) -> Mapping[str, Kind]:
    """Return each feature's kind by name."""
    return {column.name: column.kind for column in profile.features}
