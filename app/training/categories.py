"""Categories that a trained pipeline knows, for people and for input forms."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from app.training.pipeline import CATEGORIES

Category = str | int | bool


def categories_of(pipeline: Pipeline, hidden: Collection[str] = ()) -> dict[str, list[Category]]:
    """Return the categories of each categorical feature that the fitted encoder distinguishes, in its order.

    Missing values, and rare categories that the encoder merges, are left out. `hidden` columns are left out.
    """
    columns: ColumnTransformer = pipeline.named_steps["columns"]
    found: dict[str, list[Category]] = {}
    for name, encoder, names in columns.transformers_:
        if name != CATEGORIES or not names:
            continue
        for feature, known, rare in zip(names, encoder.categories_, encoder.infrequent_categories_, strict=True):
            together = set() if rare is None else set(rare.tolist())
            if feature not in hidden:
                found[feature] = [one for one in known.tolist() if not _missing(one) and one not in together]
    return found


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))
