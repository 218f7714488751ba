"""Pipelines to train: plain scikit-learn, so that a bundle needs no code of Driftline to be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from app.core.reference.profile import Kind, Task

Estimator = Literal["trees", "linear"]

MOST_CATEGORIES = 250
"""Most categories of one feature (the trees accept 255). Rarer categories are merged."""
CATEGORIES = "categories"
"""Name of the step that encodes categorical columns."""


def pipeline_of(estimator: Estimator, kinds: Mapping[str, Kind], task: Task, seed: int) -> Pipeline:
    """Return a pipeline to fit to a frame with these columns. It accepts missing values and unknown categories."""
    numeric = [name for name, kind in kinds.items() if kind == "numeric"]
    categorical = [name for name, kind in kinds.items() if kind == "categorical"]
    if estimator == "linear":
        return Pipeline([("columns", _for_linear(numeric, categorical)), ("model", _linear(task))])
    columns = ColumnTransformer([(CATEGORIES, _codes(), categorical), ("numbers", "passthrough", numeric)])
    return Pipeline([("columns", columns), ("model", _trees(task, len(categorical), seed))])


def _for_linear(numeric: list[str], categorical: list[str]) -> ColumnTransformer:
    numbers = Pipeline([("missing", SimpleImputer(strategy="median", add_indicator=True)), ("scale", StandardScaler())])
    names = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_CATEGORIES, sparse_output=False)
    return ColumnTransformer([("numbers", numbers, numeric), (CATEGORIES, names, categorical)])


def _codes() -> OrdinalEncoder:
    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan,
        max_categories=MOST_CATEGORIES,
    )  # fmt: skip


def _linear(task: Task) -> Any:
    return Ridge() if task == "regression" else LogisticRegression(max_iter=2000)


def _trees(task: Task, categories: int, seed: int) -> Any:
    made = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return made(categorical_features=list(range(categories)), early_stopping=True, random_state=seed)
