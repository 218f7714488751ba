"""Positions of a layout's columns by kind: for counting the rows of many models together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.reference.layout import Floats, Integers, Layout
from app.core.values.precision import Precision

_NO_VALUE = np.array([np.nan])


Values = Sequence[Any] | NDArray[np.float64]


def _picking(which: Sequence[int]) -> Callable[[Sequence[Values]], tuple[Values, ...]]:
    """Return a function that picks columns by their positions."""
    if len(which) > 1:
        return itemgetter(*which)
    return lambda columns: tuple(columns[i] for i in which)


@dataclass(frozen=True, eq=False)
class Places:
    """A layout's numeric and categorical columns, in its order, and functions that pick them from columns of rows.

    `references`: the values of each numeric column (NaN where there is none). `value`, `number`: the numeric column
    with the number to judge (see `CountedRows.labels_and_values`), and that with a regression's prediction. `label`:
    the categorical column with the predicted label; -1 for none.
    """

    numbers_of: Callable[[Sequence[Values]], tuple[Values, ...]]
    categories_of: Callable[[Sequence[Values]], tuple[Values, ...]]
    numeric: tuple[int, ...]
    categorical: tuple[int, ...]
    references: tuple[Floats, ...]
    numeric_offsets: Integers
    numeric_sizes: Integers
    precisions: tuple[Precision, ...]
    categorical_offsets: Integers
    unseen: Integers
    value: int
    number: int
    label: int

    @staticmethod
    def of(layout: Layout) -> Places:
        """Return the positions of a layout's columns."""
        categorical = tuple(i for i in range(len(layout.slots)) if i not in layout.numeric)
        numbers_, names_ = [layout.slots[i] for i in layout.numeric], [layout.slots[i] for i in categorical]
        at = len(layout.profile.features)
        regression = layout.profile.task == "regression"
        value = at if regression else at + 1
        return Places(
            numbers_of=_picking(layout.numeric),
            categories_of=_picking(categorical),
            numeric=layout.numeric,
            categorical=categorical,
            references=tuple(slots.values if len(slots.values) else _NO_VALUE for slots in numbers_),
            numeric_offsets=np.array([slots.offset for slots in numbers_], np.int64),
            numeric_sizes=np.array([slots.size for slots in numbers_], np.int64),
            precisions=tuple(slots.column.reading.precision for slots in numbers_),
            categorical_offsets=np.array([slots.offset for slots in names_], np.int64),
            unseen=np.array([slots.unseen for slots in names_], np.int64),
            value=layout.numeric.index(value) if value in layout.numeric else -1,
            number=layout.numeric.index(at) if regression and at in layout.numeric else -1,
            label=-1 if regression else categorical.index(at),
        )
