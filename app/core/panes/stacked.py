"""Properties of many models' columns, as arrays over all columns: for counting the rows of many models together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from app.core.panes.inputs import InputCounter
from app.core.panes.sorted_arrays import SortedArrays
from app.core.reference.layout import Floats, Integers
from app.core.values.precision import Precision

T = TypeVar("T", bound=np.generic)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


class Stacked:
    """Arrays by model: where its numeric and its categorical columns begin among all, their number, and its sizes.

    `value`, `number`, `label`: as in `Places`. By numeric and by categorical column: as in `Places` and
    `InputCounter`. `calibrated`: the number of the `curves` for a model's probabilities; -1 for none.
    """

    def __init__(self) -> None:
        self._models = 0
        self.references = SortedArrays()
        self.curves = SortedArrays()
        self.calibrations: Floats = np.empty(0)
        none = np.empty(0, np.int64)
        self.numeric, self.categorical = none, none
        self.first_numeric, self.first_categorical = none, none
        self.value, self.number, self.label = none, none, none
        self.labels, self.prediction_size, self.sums = none, none, none
        self.estimates, self.multiclass = none.astype(np.bool_), none.astype(np.bool_)
        self.calibrated = none
        self.numeric_offset, self.numeric_size, self.precision, self.place = none, none, none, none
        self.categorical_offset, self.unseen = none, none
        self.centre: Floats = np.empty(0)
        self.scale: Floats = np.empty(0)

    def __len__(self) -> int:
        """Return the number of models."""
        return self._models

    def include(self, new: Sequence[InputCounter]) -> None:
        """Add the next models."""
        if not new:
            return
        self._models += len(new)
        places = [counter.places for counter in new]
        layouts = [counter.layout for counter in new]
        self.references.add(list(chain.from_iterable(one.references for one in places)))
        curves = [counter.calibration for counter in new if counter.calibration.size]
        known = len(self.curves)
        given = np.array([counter.calibration.size > 0 for counter in new], np.bool_)
        self.calibrated = _with(self.calibrated, np.where(given, known + np.cumsum(given) - 1, -1))
        self.curves.add([curve[0] for curve in curves])
        self.calibrations = np.concatenate([self.calibrations, *(curve[1] for curve in curves)])
        self.numeric = _with(self.numeric, [len(one.numeric) for one in places])
        self.categorical = _with(self.categorical, [len(one.categorical) for one in places])
        self.first_numeric = np.cumsum(self.numeric) - self.numeric
        self.first_categorical = np.cumsum(self.categorical) - self.categorical
        self.value = _with(self.value, [one.value for one in places])
        self.number = _with(self.number, [one.number for one in places])
        self.label = _with(self.label, [one.label for one in places])
        self.labels = _with(self.labels, [len(layout.profile.labels) for layout in layouts])
        self.prediction_size = _with(self.prediction_size, [layout.prediction.size for layout in layouts])
        self.sums = _with(self.sums, [layout.sums for layout in layouts])
        self.multiclass = _with(self.multiclass, [layout.profile.task == "multiclass" for layout in layouts])
        self.estimates = _with(self.estimates, [counter.estimates for counter in new])
        self.numeric_offset = _with(self.numeric_offset, *(one.numeric_offsets for one in places))
        self.numeric_size = _with(self.numeric_size, *(one.numeric_sizes for one in places))
        self.precision = _with(self.precision, [PRECISIONS.index(name) for one in places for name in one.precisions])
        self.place = _with(self.place, *(2 * np.arange(len(one.numeric)) for one in places))
        self.categorical_offset = _with(self.categorical_offset, *(one.categorical_offsets for one in places))
        self.unseen = _with(self.unseen, *(one.unseen for one in places))
        self.centre = np.concatenate([self.centre, *(counter.centre for counter in new)])
        self.scale = np.concatenate([self.scale, *(counter.scale for counter in new)])

    def calibrate(self, curve: Integers, probability: Floats) -> Floats:
        """Return n numbers, none of which is NaN, interpolated as by `np.interp` on the curve of each."""
        left, equal = self.curves.find(curve, probability)
        length = self.curves.lengths[curve]
        at = left + equal - 1  # the last point at or below the probability; -1 where there is none
        first = self.curves.starts[curve] + np.clip(at, 0, length - 1)
        following = np.minimum(first + 1, len(self.calibrations) - 1)
        x, y = self.curves.values, self.calibrations
        flat = equal | (at < 0) | (at >= length - 1)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            slope = (y[following] - y[first]) / (x[following] - x[first])
            between = slope * (probability - x[first]) + y[first]
        return np.where(flat, y[first], between)


def _with(known: NDArray[T], *new: Sequence[object] | NDArray[T]) -> NDArray[T]:
    return np.concatenate([known, *new]).astype(known.dtype)
