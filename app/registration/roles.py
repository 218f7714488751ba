"""Which column of a table is what, and of which kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.core.profile import Kind, Task
from app.registration.monitoring import Columns, MonitoringFile
from app.registration.table import TableError, categories_of, column_of, kind_of, values_of

USUAL_TARGETS = ("target", "actual")
USUAL_IDS = ("prediction_id", "id")
MAX_LABELS = 50
"""An integer prediction with more distinct values is a regression's."""

Features = Mapping[str, NDArray[np.float64] | Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns of one table: features with their kinds in the table's order, and the others by role."""

    kinds: Mapping[str, Kind]
    prediction: str
    probability: str | None
    target: str | None


def roles_of(frame: pd.DataFrame, columns: Columns) -> Roles:
    """What each column is: as `columns` names it, else by its usual name; what is left are features.

    Raises TableError naming the column that is absent, has two roles, or is neither numbers nor categories.
    """
    prediction = columns.prediction
    if prediction not in frame.columns:
        column_of(frame, prediction, "columns.prediction")
    probability = _named(frame, columns.probability, ("probability",), "columns.probability")
    target = _named(frame, columns.target, USUAL_TARGETS, "columns.target")
    others = {
        prediction, probability, target, *columns.ignore,
        _named(frame, columns.id, USUAL_IDS, "columns.id"),
        _named(frame, columns.timestamp, ("timestamp",), "columns.timestamp"),
    }  # fmt: skip
    if columns.features is None:
        features = [name for name in frame.columns if name not in others]
    else:
        features = list(columns.features)
    if not features:
        raise TableError("no column is left to be a feature: name some under columns.features")
    for name in (*columns.categorical, *columns.numeric):
        if name not in features:
            raise TableError(f"columns.categorical and columns.numeric: {name!r} is not one of the features")
    for name in columns.categorical:
        if name in columns.numeric:
            raise TableError(f"column {name!r} is listed under columns.categorical and columns.numeric")
    kinds = {name: _kind(column_of(frame, name, "columns.features"), columns) for name in features}
    return Roles(kinds, prediction, probability, target)


def _named(frame: pd.DataFrame, name: str | None, usual: Sequence[str], key: str) -> str | None:
    if name is None:
        return next((one for one in usual if one in frame.columns), None)
    column_of(frame, name, key)
    return name


def _kind(column: pd.Series, columns: Columns) -> Kind:
    if column.name in columns.categorical:
        return "categorical"
    return "numeric" if column.name in columns.numeric else kind_of(column)


def features_of(frame: pd.DataFrame, kinds: Mapping[str, Kind]) -> Features:
    """Every feature's column: float64 with NaN where numeric, names with None where categorical.

    `kinds` are those of `roles_of` or of a profile (`feature_kinds`). Raises TableError naming the column.
    """
    return {name: values_of(column_of(frame, name), kind) for name, kind in kinds.items()}


def task_of(frame: pd.DataFrame, roles: Roles, file: MonitoringFile) -> Task:
    """The task that is given, else by the outputs: two labels are binary; text and few integers multiclass."""
    if file.task is not None:
        return file.task
    columns = [frame[name] for name in (roles.prediction, roles.target) if name is not None]
    labels = set(file.labels) or {label for column in columns for label in categories_of(column) if label is not None}
    if len(labels) == 2:
        return "binary"
    if kind_of(columns[0]) == "categorical" or file.labels:
        return "multiclass"
    whole = all(pd.api.types.is_integer_dtype(column.dtype) for column in columns)
    return "multiclass" if whole and len(labels) <= MAX_LABELS else "regression"
