"""LightGBM's and XGBoost's models predict in a real API as in the libraries themselves: `make test-boosters`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from app.core.reference.profile import Kind
from app.kafka.topics import ensure_topics
from app.serving import save_bundle
from app.settings.settings import Settings
from tests.support.api_process import api_process as api

pytestmark = [pytest.mark.boosters, pytest.mark.usefixtures("direct")]

N = 600
PLANS = ["basic", "gold", "silver", "très cher"]
REGIONS = [3, 1, 2]
TYPES: dict[str, dict[str, object]] = {
    "plan name": {"type": "category", "categories": PLANS},
    "region": {"type": "category", "categories": REGIONS},
    "rooms": {"type": "integer", "nullable": True, "dtype": "Int64"},
    "member": {"type": "boolean", "nullable": True, "dtype": "boolean"},
    "age": {"type": "number", "dtype": "Float64"},
    "income": {"type": "number", "dtype": "float32"},
    "tenure": {"type": "number"},
}
KINDS: dict[str, Kind] = {
    name: "categorical" if kind["type"] in ("category", "boolean") else "numeric" for name, kind in TYPES.items()
}


class Case(NamedTuple):
    """A fitted model, the frame that it was fitted to, and how its bundle describes it."""

    model: Any
    frame: pd.DataFrame
    types: Mapping[str, Mapping[str, object]]
    kinds: Mapping[str, Kind]


def table(rng: np.random.Generator, n: int = N) -> pd.DataFrame:
    """Columns of every dtype that these libraries take, with missing values in each but the category of numbers."""
    gap = rng.random((6, n)) < 0.1
    rooms, member = pd.array(rng.integers(1, 9, n), dtype="Int64"), pd.array(rng.random(n) < 0.5, dtype="boolean")
    age = pd.array(rng.normal(40, 12, n), dtype="Float64")
    rooms[gap[0]], member[gap[1]], age[gap[2]] = pd.NA, pd.NA, pd.NA
    plan = rng.integers(0, len(PLANS), n)
    return pd.DataFrame({
        "plan name": pd.Categorical.from_codes(np.where(gap[3], -1, plan), categories=PLANS),
        "region": pd.Categorical(rng.choice(REGIONS, n), categories=REGIONS),
        "rooms": rooms, "member": member, "age": age,
        "income": np.where(gap[4], np.nan, rng.lognormal(10, 1, n)).astype(np.float32),
        "tenure": np.where(gap[5], np.nan, rng.exponential(24, n)),
    })  # fmt: skip


def score(frame: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """A target to which categories, missing values and numbers all matter."""
    plan = frame["plan name"].cat.codes.to_numpy().astype(float)
    region = frame["region"].cat.codes.to_numpy()
    rooms, age = (frame[name].to_numpy(dtype=float, na_value=0.0) for name in ("rooms", "age"))
    member = frame["member"].to_numpy(dtype=float, na_value=0.5)
    values = np.sin(2 * plan) + (region == 1) + 0.3 * rooms * member - 0.02 * age
    return np.asarray(values + 0.01 * np.nan_to_num(frame["tenure"].to_numpy()) + rng.normal(0, 0.2, len(frame)))


def cases() -> dict[str, Case]:
    """Models by the name that they are served under."""
    import lightgbm
    import xgboost

    rng = np.random.default_rng(7)
    frame = table(rng)
    target = score(frame, rng)
    two, three = (target > np.median(target)).astype(int), np.array(["low", "mid", "top"])[pd.qcut(target, 3).codes]
    unnamed = {name: {key: v for key, v in kind.items() if key != "dtype"} for name, kind in TYPES.items()}
    light = {"n_estimators": 20, "min_child_samples": 5, "verbose": -1, "n_jobs": 1}
    extreme = {"n_estimators": 20, "enable_categorical": True, "tree_method": "hist", "n_jobs": 1}
    booster = lightgbm.train({"objective": "regression", "verbose": -1}, lightgbm.Dataset(frame, target), 20)
    plain = frame[["age", "income", "tenure"]].astype(float)
    array = xgboost.XGBRegressor(**extreme).fit(plain.to_numpy(), target)
    texts = frame[["plan name", "tenure"]].astype({"plan name": "str"})
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    columns = ColumnTransformer([("plan", encoder, ["plan name"])], remainder="passthrough")
    models: dict[str, Any] = {
        "lightgbm-binary": lightgbm.LGBMClassifier(**light).fit(frame, two),
        "lightgbm-classes": lightgbm.LGBMClassifier(**light).fit(frame, three),
        "lightgbm-number": lightgbm.LGBMRegressor(**light).fit(frame, target),
        "lightgbm-booster": booster,
        "lightgbm-calibrated": CalibratedClassifierCV(lightgbm.LGBMClassifier(**light), cv=2).fit(frame, two),
        "xgboost-binary": xgboost.XGBClassifier(**extreme).fit(frame, two),
        "xgboost-classes": xgboost.XGBClassifier(**extreme).fit(frame, pd.Series(three).map(CODES)),
        "xgboost-number": xgboost.XGBRegressor(**extreme).fit(frame, target),
    }
    found = {name: Case(model, frame, TYPES, KINDS) for name, model in models.items()}
    found["lightgbm-search"] = Case(
        GridSearchCV(lightgbm.LGBMClassifier(**light), {"n_estimators": [5]}, cv=2).fit(frame, two), frame, TYPES, KINDS
    )
    for name in ("lightgbm-binary", "xgboost-binary"):  # nullable columns whose dtype the metadata does not name
        found[f"{name}-unnamed"] = found[name]._replace(types=unnamed)
    found["xgboost-array"] = Case(array, plain, {}, dict.fromkeys(plain, "numeric"))
    pipeline = Pipeline([("columns", columns), ("model", xgboost.XGBClassifier(**extreme))]).fit(texts, two)
    found["xgboost-texts"] = Case(pipeline, texts, {}, {"plan name": "categorical", "tenure": "numeric"})
    return found


CODES = {"low": 0, "mid": 1, "top": 2}


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as a caller sends them."""
    return [
        {name: None if pd.isna(value) else getattr(value, "item", lambda v=value: v)() for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def expected(case: Case, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """What the library itself predicts, in the form of the API: the probability of the last of two classes."""
    given = frame if case.types or "plan name" in frame else frame.to_numpy()
    predictions = case.model.predict(given).tolist()
    if not hasattr(case.model, "predict_proba"):
        return [{"prediction": one, "probability": None} for one in predictions]
    each, names = case.model.predict_proba(given).tolist(), [str(one) for one in case.model.classes_]
    return [
        {"prediction": one, "probability": p[1] if len(p) == 2 else dict(zip(names, p, strict=True))}
        for one, p in zip(predictions, each, strict=True)
    ]


def saved(folder: Path, name: str, case: Case) -> Path:
    first = case.frame.head(10)
    examples = [{"features": row, **told} for row, told in zip(rows_of(first), expected(case, first), strict=True)]
    training, types, kinds = {"examples": examples}, dict(case.types), case.kinds
    save_bundle(folder / name, case.model, kinds, model=name, model_version="1", types=types, training=training)
    return folder / name


def unseen(case: Case) -> tuple[dict[str, Any], pd.DataFrame]:
    """A row with a category that training did not have, and the frame in which the library has it: as missing."""
    row, frame = rows_of(case.frame.head(1))[0], case.frame.head(1).copy()
    if str(frame["plan name"].dtype) == "category":
        frame["plan name"] = pd.Categorical([None], categories=PLANS)
    else:
        frame["plan name"] = pd.Series(["platinum"], dtype="str")
    return row | {"plan name": "platinum"}, frame


@pytest.mark.timeout(400)
async def test_served_models_predict_what_their_library_predicts(settings: Settings, tmp_path: Path) -> None:
    await ensure_topics(settings)
    models = cases()
    paths = [saved(tmp_path, name, case) for name, case in models.items()]
    with api(settings.model_copy(update={"model_path": tuple(paths)})) as url:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            served = {one["model"]: one for one in (await http.get("/")).json()["models"]}
            for name, case in models.items():
                told = served[name]
                library = name.partition("-")[0]
                assert told["examples"] == "10 agree with training"
                assert told["skew"] == []
                assert told["libraries"][library]["here"] == told["libraries"][library]["trained"] is not None
                part = case.frame.iloc[10:160]
                answers = (
                    await http.post(f"/predict/{name}", json=[{"features": row} for row in rows_of(part)])
                ).json()
                assert compared(answers) == expected(case, part), name
                alone = case.frame.iloc[[20]]  # a single row has one category, and perhaps nothing missing
                one = (await http.post(f"/predict/{name}", json={"features": rows_of(alone)[0]})).json()
                assert compared([one]) == expected(case, alone), name
                if "plan name" in case.frame:
                    row, frame = unseen(case)
                    one = (await http.post(f"/predict/{name}", json={"features": row})).json()
                    assert compared([one]) == expected(case, frame), name
                nothing = dict.fromkeys(case.frame)
                assert (await http.post(f"/predict/{name}", json={"features": nothing})).status_code == 200, name


def compared(answers: Any) -> list[dict[str, Any]]:
    return [{key: one[key] for key in ("prediction", "probability")} for one in json.loads(json.dumps(answers))]
