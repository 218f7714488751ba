"""The profile of a reference table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from app.core.profile import Profile, Task, with_identity
from app.core.reference import build_profile
from app.registration.monitoring import MonitoringError, MonitoringFile
from app.registration.roles import Roles, features_of, roles_of, task_of
from app.registration.table import TableError, categories_of, numbers_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ID_LIKE = 0.5
"""Text with more distinct values than this share of the rows (and than MANY) is no category."""
MANY = 100


def profile_of(
    model: str,
    version: str,
    frame: pd.DataFrame,
    file: MonitoringFile | None = None,
    baseline: Mapping[str, float] | None = None,
) -> Profile:
    """The profile of a reference table; `baseline` replaces the metrics found in the table, by name.

    Raises TableError or MonitoringError naming the column or key.
    """
    file = MonitoringFile() if file is None else file
    roles = roles_of(frame, file.columns)
    features = features_of(frame, roles.kinds)
    for name in roles.kinds:
        _check_feature(frame[name], name in file.columns.categorical or roles.kinds[name] == "numeric")
    absent = [name for name in file.monitoring.alerting.critical_features if name not in roles.kinds]
    if absent:
        raise MonitoringError(f"alerting.critical_features: {', '.join(absent)} is not one of the features")
    task = task_of(frame, roles, file)
    prediction, probability = frame[roles.prediction], _probability(frame, roles, file, task)
    try:
        profile = build_profile(
            model, version, task, features,
            numbers_of(prediction) if task == "regression" else categories_of(prediction),
            probability,
            _actual(frame, roles, regression=task == "regression"),
            labels=file.labels, positive_label=file.positive_label or _likelier(frame, roles, file, task, probability),
        )  # fmt: skip
    except ValueError as error:
        raise TableError(str(error)) from None
    if not baseline:
        return profile
    return with_identity(replace(profile, baseline={**profile.baseline, **baseline}))


def _check_feature(column: pd.Series, listed: bool) -> None:
    if column.isna().all():
        raise TableError(f"column {column.name!r} has no values: list it under columns.ignore")
    distinct = column.nunique()
    if not listed and distinct > max(MANY, ID_LIKE * len(column)):
        raise TableError(
            f"column {column.name!r} has {distinct:,} different texts in {len(column):,} rows, so it looks like an id "
            f"or a text: list it under columns.ignore (or, if it is a category, under columns.categorical)"
        )


def _probability(frame: pd.DataFrame, roles: Roles, file: MonitoringFile, task: Task) -> NDArray[np.float64] | None:
    """Of the positive class; of more than two classes that of the predicted one."""
    if roles.probability is None:
        return None
    column = frame[roles.probability]
    by_class = column.map(lambda value: isinstance(value, dict)).any()
    if by_class and task == "multiclass":
        told = categories_of(frame[roles.prediction])
        picked = [p.get(label) if isinstance(p, dict) else p for p, label in zip(column, told, strict=True)]
        column = pd.Series(picked, index=column.index, name=column.name, dtype=object)
    elif by_class:
        if file.positive_label is None:
            raise MonitoringError(
                f"positive_label: needed, because column {column.name!r} holds one probability a class"
            )
        column = column.map(lambda value: value.get(file.positive_label) if isinstance(value, dict) else value)
    values = numbers_of(column)
    if ((values < 0) | (values > 1)).any():
        raise TableError(f"column {roles.probability!r} has values outside 0 to 1, so it holds no probabilities")
    return values


def _likelier(
    frame: pd.DataFrame, roles: Roles, file: MonitoringFile, task: Task, probability: NDArray[np.float64] | None
) -> str | None:
    """Which of two labels a probability is of, where nobody says: where it is predicted the probability is higher."""
    if task != "binary" or file.labels or probability is None:
        return None
    means = pd.Series(probability).groupby(np.array(categories_of(frame[roles.prediction]), dtype=object)).mean()
    return str(means.idxmax()) if means.notna().all() and means.nunique() == 2 else None


def _actual(frame: pd.DataFrame, roles: Roles, *, regression: bool) -> NDArray[np.float64] | list[str | None] | None:
    if roles.target is None:
        return None
    return numbers_of(frame[roles.target]) if regression else categories_of(frame[roles.target])
