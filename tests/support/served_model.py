"""A small model of people, saved as a bundle and served."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from app.serving import save_bundle
from app.settings.settings import Settings
from tests.support.api import client_of, ready
from tests.support.stubborn_model import Stubborn

PEOPLE = pd.DataFrame({"age": np.linspace(18, 80, 200), "plan": ["basic", "gold"] * 100})
TRUTH = (PEOPLE["age"] > 50).astype(int)


def save_stubborn(folder: Path, version: str = "1", added: float = 0.0, *, tried: bool = True) -> Path:
    example = {"features": {"age": 1.0}, "prediction": 2 + added, "probability": None}
    training = {"examples": [example]} if tried else {}
    kinds: dict[str, Any] = {"age": "numeric"}
    save_bundle(folder, Stubborn(added), kinds, model="m", model_version=version, training=training)
    return folder


OLD, YOUNG = {"age": 70, "plan": "gold"}, {"age": 20, "plan": "basic"}


def save_model(folder: Path, *, version: str = "3", truth: pd.Series = TRUTH) -> Path:
    columns = ColumnTransformer([("plan", OneHotEncoder(), ["plan"]), ("age", "passthrough", ["age"])])
    pipeline = Pipeline([("columns", columns), ("logistic", LogisticRegression(max_iter=1000))]).fit(PEOPLE, truth)
    save_bundle(
        folder, pipeline, {"age": "numeric", "plan": "categorical"}, model="churn", model_version=version,
        training={"labels": {"0": "stays", "1": "leaves"}},
    )  # fmt: skip
    return folder


@contextlib.asynccontextmanager
async def serving_of(settings: Settings, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(settings.model_copy(update={"model_path": folder})) as found:
        await ready(found)
        yield found
