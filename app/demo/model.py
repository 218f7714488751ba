"""Model of the demo, which predicts employment.

One half of the people of 2015 trains it, the other is the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from app.demo.census import CATEGORICAL, FEATURES, NUMERIC, TRUTH

SEED = 2015
THRESHOLD = 0.5


@dataclass(frozen=True)
class DemoModel:
    """Pipeline, and the people it was not trained on with its `prediction` and `probability` for them."""

    pipeline: Pipeline
    reference: pd.DataFrame
    people: int

    @property
    def accuracy(self) -> float:
        """Return the accuracy on the people that the model was not trained on."""
        return float((self.reference["prediction"] == self.reference[TRUTH]).mean())


def train(people: pd.DataFrame) -> DemoModel:
    """Train gradient boosting on a random half of the people, in about a second. Return the model."""
    order = np.random.default_rng(SEED).permutation(len(people))
    seen, unseen = people.iloc[order[: len(people) // 2]], people.iloc[order[len(people) // 2 :]]
    categories = [list(people[name].cat.categories) for name in CATEGORICAL]
    encoder = OrdinalEncoder(categories=categories, handle_unknown="use_encoded_value", unknown_value=np.nan)
    pipeline = Pipeline([
        ("columns", ColumnTransformer([("codes", encoder, list(CATEGORICAL)), ("age", "passthrough", list(NUMERIC))])),
        ("trees", HistGradientBoostingClassifier(
            categorical_features=list(range(len(CATEGORICAL))), max_iter=80, random_state=SEED,
        )),
    ])  # fmt: skip
    pipeline.fit(seen[list(FEATURES)], seen[TRUTH])
    return DemoModel(pipeline, predicted(pipeline, unseen), len(seen))


def predicted(pipeline: Pipeline, people: pd.DataFrame) -> pd.DataFrame:
    """Return the people with the model's `prediction` (0 or 1) and `probability` of being employed."""
    probability = pipeline.predict_proba(people[list(FEATURES)])[:, 1]
    return people.assign(prediction=(probability >= THRESHOLD).astype(np.int64), probability=probability)
