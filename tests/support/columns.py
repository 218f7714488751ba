"""Columns, panes and profiles for tests of the statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from app.core.panes.pane import Pane
from app.core.reference.layout import Layout, layout_of
from app.core.reference.profile import ColumnProfile, Profile, categorical_column, numeric_column

Floats = NDArray[np.float64]
Values = Floats | Sequence[str | None]


def column_of(name: str, reference: Values, limit: int = 10_000) -> ColumnProfile:
    """A numeric column from an array, a categorical one from anything else."""
    if isinstance(reference, np.ndarray):
        return numeric_column(name, reference, limit)
    return categorical_column(name, reference)


def layout_for(
    features: Mapping[str, Values],
    *,
    prediction: Values = ("no", "yes"),
    probability: Floats | None = None,
    limit: int = 10_000,
) -> Layout:
    """The layout of a binary model with these reference columns."""
    return layout_of(
        Profile(
            model="m",
            model_version="1",
            task="binary",
            features=tuple(column_of(name, values, limit) for name, values in features.items()),
            prediction=column_of("prediction", prediction),
            probability=None if probability is None else numeric_column("probability", probability),
            labels=("no", "yes"),
            baseline={},
            estimated_baseline={},
            calibration=(),
            n=len(prediction),
        )
    )


def pane_of(layout: Layout, columns: Mapping[str, Values]) -> Pane:
    """The pane of some current rows; a column that is not given counts nothing."""
    dense = np.zeros(layout.size, np.int64)
    n = max((len(values) for values in columns.values()), default=0)
    for slots in layout.slots:
        values = columns.get(slots.column.name)
        if values is None or not len(values):
            continue
        if isinstance(values, np.ndarray):
            found = slots.numeric(values)
        else:
            found = np.array([slots.missing if v is None else slots.codes.get(v, slots.unseen) for v in values])
        dense += np.bincount(found + slots.offset, minlength=layout.size)
    return Pane.of(n, dense, np.zeros(layout.sums, np.int64))
