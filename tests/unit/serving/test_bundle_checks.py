"""What is found when a bundle is loaded, and what a row's faults are called; by models of scikit-learn itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from app.serving import BundleError, PredictionFailed, UnfitRows, load_bundle, predict, save_bundle
from app.serving.bundle import FEATURES, TRAINING
from app.serving.fitted import FeaturesDiffer, Fitted, checked_order, fitted_features
from app.serving.types import feature_type, frame_of, wrong_value
from app.serving.versions import compared, skew

N = 120
FRAME = pd.DataFrame(
    {"age": np.linspace(18, 80, N), "income": np.tile([1.0, 2.0, 4.0], N // 3), "b": np.arange(N) % 7.0}
)
TRUTH = (FRAME["age"] + FRAME["b"] > 50).astype(int)
NUMERIC = dict.fromkeys(FRAME, "numeric")


def saved(folder: Path, model: object, kinds: Mapping[str, str] = NUMERIC, **more: Any) -> Path:
    save_bundle(folder, model, kinds, model="m", model_version="1", **more)  # type: ignore[arg-type]
    return folder


def examples_of(model: Any, frame: pd.DataFrame, n: int = 10) -> list[dict[str, object]]:
    told, rows = model.predict(frame.head(n)).tolist(), json.loads(frame.head(n).to_json(orient="records"))
    each = model.predict_proba(frame.head(n))[:, 1].tolist() if hasattr(model, "predict_proba") else [None] * n
    return [
        {"features": row, "prediction": one, "probability": p} for row, one, p in zip(rows, told, each, strict=True)
    ]


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=1000),
        make_pipeline(StandardScaler(), LogisticRegression()),
        Pipeline([("nothing", "passthrough"), ("model", LogisticRegression(max_iter=1000))]),
        CalibratedClassifierCV(LogisticRegression(max_iter=1000), cv=2),
        GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [1.0]}, cv=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_features_are_held_against_what_the_model_was_fitted_to(tmp_path: Path, model: Any) -> None:
    model.fit(FRAME, TRUTH)
    row = {"age": 70, "income": 2, "b": 3}
    expected = model.predict_proba(pd.DataFrame([row], columns=list(FRAME)))[0, 1]
    turned = "feature_metadata.json has its features in another order than the model, whose order is taken"
    for order, cautions in ((list(FRAME), ()), (list(FRAME)[::-1], (turned,))):
        bundle = load_bundle(saved(tmp_path, model, dict.fromkeys(order, "numeric")))
        assert predict(bundle, [row])[0].probability == pytest.approx(expected)
        assert bundle.cautions == cautions
    with pytest.raises(BundleError, match="lacks features that the model was fitted to: income"):
        load_bundle(saved(tmp_path, model, {"age": "numeric", "b": "numeric"}))
    with pytest.raises(BundleError, match="has features that the model was not fitted to: colour"):
        load_bundle(saved(tmp_path, model, NUMERIC | {"colour": "numeric"}))


def test_a_model_fitted_to_an_array_has_their_number_alone(tmp_path: Path) -> None:
    model = LinearRegression().fit(FRAME.to_numpy(), TRUTH)
    assert "without names" in load_bundle(saved(tmp_path, model)).cautions[0]
    with pytest.raises(BundleError, match="has 2 features, and the model was fitted to 3"):
        load_bundle(saved(tmp_path, model, {"age": "numeric", "b": "numeric"}))


def test_columns_that_a_pipeline_drops_need_not_be_given_and_those_it_lets_pass_are_named(tmp_path: Path) -> None:
    columns = ColumnTransformer([("kept", "passthrough", ["b", "age"]), ("dropped", "drop", ["income"])])
    model = make_pipeline(columns, LogisticRegression(max_iter=1000)).fit(FRAME, TRUTH)
    assert load_bundle(saved(tmp_path, model, {"age": "numeric", "b": "numeric"})).cautions == ()
    assert load_bundle(saved(tmp_path, model, NUMERIC | {"x": "numeric"})).cautions == ("the model does not use x",)
    with pytest.raises(BundleError, match="lacks features that the model was fitted to: b"):
        load_bundle(saved(tmp_path, model, {"age": "numeric"}))
    for chosen in ([0, 2], slice(0, 3, 2), np.array([True, False, True])):
        by_position = ColumnTransformer([("kept", "passthrough", chosen)]).fit(FRAME)
        assert fitted_features(by_position).unused == {"income"}, chosen


class Boosted:
    """What LightGBM and XGBoost say of their features; neither is installed for the tests."""

    def __init__(self, **told: object) -> None:
        self.__dict__ |= told


def boosted(package: str, **told: object) -> Boosted:
    made: type[Boosted] = type("Model", (Boosted,), {"__module__": f"{package}.sklearn"})
    return made(**told)


@pytest.mark.parametrize(
    ("model", "fitted"),
    [
        (boosted("lightgbm", feature_name_=["a_b", "c"], n_features_in_=2), Fitted(("a_b", "c"), 2)),
        (boosted("lightgbm", feature_name_=["Column_0", "Column_1"], n_features_in_=2), Fitted(None, 2)),
        (boosted("lightgbm", feature_name=lambda: ["a"]), Fitted(("a",), 1)),
        (boosted("xgboost", get_booster=lambda: Boosted(feature_names=["a", "b"])), Fitted(("a", "b"), 2)),
        (boosted("xgboost", get_booster=lambda: Boosted(feature_names=None), n_features_in_=3), Fitted(None, 3)),
        (boosted("catboost", feature_names_=["0", "1"], n_features_in_=2), Fitted(None, 2)),
        (boosted("own"), Fitted(None, None)),
    ],
)
def test_other_libraries_names_are_read(model: object, fitted: Fitted) -> None:
    assert fitted_features(model) == fitted


@pytest.mark.parametrize("around", [{}, {"best_estimator_": None}, {"calibrated_classifiers_": None}])
def test_lightgbms_spelling_of_names_is_known_within_a_search_and_calibration(around: dict[str, object]) -> None:
    inner = boosted("lightgbm", feature_name_=["plan_name", "c"], n_features_in_=2)
    of = {"best_estimator_": inner, "calibrated_classifiers_": [Boosted(estimator=inner)]}
    told = {name: of[name] for name in around}
    model = boosted("sklearn", feature_names_in_=["plan_name", "c"], **told) if around else inner
    assert checked_order(["c", "plan name"], model)[0] == ("plan name", "c")
    with pytest.raises(FeaturesDiffer, match="lacks features that the model was fitted to: plan_name"):
        checked_order(["c", "plan name"], boosted("sklearn", feature_names_in_=["plan_name", "c"]))


def test_stored_examples_are_predicted_when_it_is_loaded(tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=1000).fit(FRAME, TRUTH)
    good = examples_of(model, FRAME, 10)
    assert load_bundle(saved(tmp_path, model, training={"examples": good})).examples == 10
    assert load_bundle(saved(tmp_path, model)).examples == 0
    other = [{**one, "probability": one["probability"] + 1e-4} for one in good[:3]]  # type: ignore[operator]
    with pytest.raises(BundleError, match=r"for 3 of 3 examples something else than in training; examples\[0\]: prob"):
        load_bundle(saved(tmp_path, model, training={"examples": other}))
    near = [{**one, "probability": one["probability"] * (1 + 1e-7)} for one in good]  # type: ignore[operator]
    assert load_bundle(saved(tmp_path, model, training={"examples": near})).examples == 10
    flipped = [{**good[0], "prediction": 1 - int(str(good[0]["prediction"]))}]
    with pytest.raises(BundleError, match=r"examples\[0\]: prediction 0, expected 1"):
        load_bundle(saved(tmp_path, model, training={"examples": flipped}))
    of_row = {
        r"age: the model cannot take null": {"age": None, "income": 1, "b": 1},
        "missing features: income, b": {"age": 1},
        "colour: the model has no such feature": {"age": 1, "income": 1, "b": 1, "colour": 2},
    }
    for words, row in of_row.items():
        with pytest.raises(BundleError, match=rf"examples\[0\]: {words}"):
            load_bundle(saved(tmp_path, model, training={"examples": [{"features": row, "prediction": 0}]}))
    for wrong, words in (([1], r"examples\[0\] must be an object"), ({}, "examples must be a list")):
        with pytest.raises(BundleError, match=words):
            load_bundle(saved(tmp_path, model, training={"examples": wrong}))


class Returning(BaseEstimator):  # type: ignore[misc]
    """A model that returns what it is told to."""

    classes_ = (0, 1, 2)

    def __init__(self, shape: tuple[int, ...] = (), many: tuple[int, ...] | None = None) -> None:
        self.shape, self.many = shape, many

    def predict(self, frame: pd.DataFrame) -> Any:
        return np.zeros((len(frame), *self.shape))

    @property
    def predict_proba(self) -> Any:
        if self.many is None:
            raise AttributeError
        return lambda frame: np.full((len(frame), *(self.many or ())), 0.5)


class Raising(BaseEstimator):  # type: ignore[misc]
    """A model that cannot predict."""

    def __init__(self, words: str = "") -> None:
        self.words = words

    def predict(self, _: pd.DataFrame) -> Any:
        raise RuntimeError(self.words)


ROW: dict[str, Any] = {"age": 1, "income": 1, "b": 1}


def test_one_column_is_a_prediction_and_more_are_refused_by_name(tmp_path: Path) -> None:
    one = load_bundle(saved(tmp_path, Returning((1,))))
    assert [found.prediction for found in predict(one, [ROW, ROW])] == [0.0, 0.0]
    example = [{"features": ROW, "prediction": 0, "probability": None}]
    refused = {
        "predict returned 2 columns; a model with one output is served": Returning((2,)),
        "predict returned the shape 1 x 2 x 2 for 1 rows": Returning((2, 2)),
        "predict_proba returned 4 columns for 3 classes": Returning((), (4,)),
        "predict_proba returned the shape 1 x 3 x 2 for 1 rows": Returning((), (3, 2)),
    }
    for words, model in refused.items():
        with pytest.raises(BundleError, match=words):
            load_bundle(saved(tmp_path, model, training={"examples": example}))
        with pytest.raises(PredictionFailed, match=words):
            predict(load_bundle(saved(tmp_path, model)), [ROW])
    two = LinearRegression().fit(FRAME, np.column_stack([TRUTH, TRUTH]))
    with pytest.raises(BundleError, match="predict returned 2 columns"):
        load_bundle(saved(tmp_path, two, training={"examples": example}))


def test_a_models_own_module_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "lib"
    home.mkdir()
    (home / "our_steps.py").write_text("class Step:\n    def predict(self, frame):\n        return [1] * len(frame)\n")
    monkeypatch.syspath_prepend(home)
    import our_steps  # type: ignore[import-not-found]

    folder = saved(tmp_path / "m", our_steps.Step())
    del our_steps.Step
    with pytest.raises(BundleError, match=r"needs Step, which its module no longer has"):
        load_bundle(folder)
    monkeypatch.delitem(sys.modules, "our_steps")
    assert predict(load_bundle(folder), [ROW])[0].prediction == 1  # as with PYTHONPATH
    monkeypatch.delitem(sys.modules, "our_steps")
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(home)])
    with pytest.raises(BundleError, match=r"needs the module our_steps, .* in PYTHONPATH"):
        load_bundle(folder)
    theirs = ModuleType("app.our_steps")  # of a project whose package has the name of one of Driftline's
    exec("class Step:\n    def predict(self, frame):\n        return [1] * len(frame)\n", theirs.__dict__)
    monkeypatch.setitem(sys.modules, "app.our_steps", theirs)
    saved(tmp_path / "theirs", theirs.Step())
    monkeypatch.delitem(sys.modules, "app.our_steps")
    with pytest.raises(BundleError, match=r"needs the module app\.our_steps, but app is a package of Driftline here"):
        load_bundle(tmp_path / "theirs")
    main = sys.modules["__main__"]
    local = type("Local", (Returning,), {"__module__": "__main__"})
    monkeypatch.setattr(main, "Local", local, raising=False)
    saved(tmp_path / "main", local())
    monkeypatch.delattr(main, "Local")
    with pytest.raises(
        BundleError, match=r"needs Local, which was defined in a script or notebook \(__main__\).*PYTHON"
    ):
        load_bundle(tmp_path / "main")


PLANS = ["basic", "gold", "silver"]
LATER: dict[str, dict[str, object]] = {
    "plan": {"type": "category", "categories": PLANS},
    "rooms": {"type": "integer", "dtype": "Int64"},
}


def codes_of(frame: pd.DataFrame) -> pd.DataFrame:
    """What a category is to LightGBM and XGBoost: its place among those of the column, whichever a row has."""
    return frame.assign(code=frame["plan"].cat.codes, rooms=frame["rooms"].astype("Int64"))


def test_categories_and_nullable_numbers_reach_the_model_as_in_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    plan = pd.Categorical(rng.choice(PLANS, 400), categories=PLANS)
    rooms = pd.array(rng.integers(0, 6, 400), dtype="Int64")
    rooms[rng.random(400) < 0.2] = pd.NA
    frame = pd.DataFrame({"rooms": rooms, "plan": plan})
    truth = (frame["plan"] == "silver") | (frame["rooms"].fillna(-1) > 4)
    trees = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=30)
    model = make_pipeline(FunctionTransformer(codes_of), trees).fit(frame, truth.astype(int))
    kinds = {"rooms": "categorical", "plan": "categorical"}
    examples = examples_of(model, frame)
    bundle = load_bundle(saved(tmp_path, model, kinds, types=LATER, training={"examples": examples}))
    rows = json.loads(frame.to_json(orient="records"))
    expected = model.predict_proba(frame)[:, 1]
    assert [one.probability for one in predict(bundle, rows)] == pytest.approx(expected.tolist(), abs=1e-12)
    alone = [predict(bundle, [row])[0].probability for row in rows[:20]]  # one row has one category
    assert alone == pytest.approx(expected[:20].tolist(), abs=1e-12)
    unseen = pd.DataFrame({"rooms": rooms[:1], "plan": pd.Categorical([None], categories=PLANS)})
    new = predict(bundle, [{**rows[0], "plan": "platinum"}])[0].probability
    assert new == pytest.approx(model.predict_proba(unseen)[0, 1])
    with pytest.raises(BundleError, match="the model fails on its own examples"):
        load_bundle(saved(tmp_path, model, kinds, types={"rooms": LATER["rooms"]}, training={"examples": examples}))
    strict = load_bundle(saved(tmp_path, model, kinds, types={"plan": LATER["plan"] | {"nullable": False}}))
    with pytest.raises(UnfitRows) as error:
        predict(strict, [{"rooms": 1, "plan": "platinum"}, {"rooms": None, "plan": None}])
    assert [row.wrong for row in error.value.rows] == [
        {"plan": "expected one of its categories, got a value that is none of them"},
        {"plan": "expected one of its categories, got null"},
    ]


def test_what_a_model_says_of_its_own_examples_is_told_without_their_values(tmp_path: Path) -> None:
    bare = {"features": {"age": 4711, "income": 0, "b": 0}, "prediction": 0}
    for raised, words in (("unfit 4711", r"\(RuntimeError\)"), ("no dtype 47112", r"\(RuntimeError: no dtype 47112\)")):
        folder = saved(tmp_path, Raising(raised), training={"examples": [bare]})
        with pytest.raises(BundleError, match=f"fails on its own examples {words}"):
            load_bundle(folder)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("float", r"types\.age must be one of number, text, integer, boolean, category, not 'float'"),
        ("category", r"types\.age: a category needs its categories"),
        ({"type": "category"}, r"types\.age\.categories must be a list"),
        ({"type": "number", "categories": [1]}, r"types\.age\.categories must be a list"),
        ({"type": "category", "categories": [1, "1"]}, r"types\.age\.categories has a value twice"),
        ({"type": "category", "categories": [1, True]}, r"types\.age\.categories cannot be pandas' categories"),
        ({"type": "category", "categories": [1.5, float("nan")]}, r"types\.age\.categories cannot be pandas'"),
        ({"type": "number", "nullable": "no"}, r"types\.age\.nullable must be true or false"),
        ({"type": "number", "dtype": "Int64"}, r"types\.age\.dtype of number must be one of float64"),
    ],
)
def test_a_type_that_cannot_be_is_named(tmp_path: Path, entry: object, words: str) -> None:
    folder = saved(tmp_path, LinearRegression().fit(FRAME, TRUTH))
    path = folder / FEATURES
    path.write_text(json.dumps(json.loads(path.read_text()) | {"types": {"age": entry}}))
    with pytest.raises(BundleError, match=words):
        load_bundle(folder)


def test_what_the_model_cannot_take_is_named_by_feature_and_never_by_value(tmp_path: Path) -> None:
    frame = pd.DataFrame({"plan": pd.Series(PLANS * 40, dtype="str"), "age": FRAME["age"], "height": FRAME["b"]})
    columns = ColumnTransformer([
        ("plan", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["plan"]),
        ("numbers", make_pipeline(StandardScaler()), ["age", "height"]),
    ])  # fmt: skip
    model = make_pipeline(columns, LogisticRegression()).fit(frame, TRUTH)
    kinds = {"plan": "categorical", "age": "numeric", "height": "numeric"}
    good: dict[str, Any] = {"plan": "gold", "age": 30, "height": 2}
    stats = {"plan": {"counts": {"gold": 40}}, "age": {"mean": 49}, "height": {"median": 3.0}}
    training = {"examples": examples_of(model, frame)}
    bundles = [
        saved(tmp_path / "a", model, kinds, training=training),
        saved(tmp_path / "b", model, kinds, feature_stats=stats),
    ]
    for folder in bundles:
        bundle = load_bundle(folder)
        rows = [good, {**good, "plan": "s3cret"}, good, {**good, "age": None, "height": None}]
        with pytest.raises(UnfitRows) as error:
            predict(bundle, rows)
        assert {row.row: row.wrong for row in error.value.rows} == {
            1: {"plan": "the model cannot take this text"},
            3: {"age": "the model cannot take null", "height": "the model cannot take null"},
        }
        assert "s3cret" not in str(error.value)
    unknown = load_bundle(saved(tmp_path / "c", model, kinds))  # no row is known to be good
    with pytest.raises(UnfitRows, match="age: the model cannot take null"):
        predict(unknown, [{**good, "age": None}])
    with pytest.raises(ValueError, match="unknown categories"):
        predict(unknown, [{**good, "plan": "s3cret"}])


def test_a_model_that_always_fails_blames_no_feature_and_is_not_asked_for_ever(tmp_path: Path) -> None:
    bundle = load_bundle(saved(tmp_path, Returning(), feature_stats={name: {"mean": 1.0} for name in FRAME}))
    asked = []

    def failing(frame: pd.DataFrame) -> Any:
        asked.append(len(frame))
        raise RuntimeError("out of order")

    bundle.estimator.predict = failing
    with pytest.raises(RuntimeError, match="out of order"):
        predict(bundle, [ROW] * 1000)
    assert len(asked) < 70


@given(value=st.integers() | st.integers(-(2**70), 2**70) | st.integers(2**53 - 3, 2**53 + 3))
def test_whole_numbers_are_taken_where_their_column_holds_them_exactly(value: int) -> None:
    for kind, largest in (("number", None), ("integer", 2**63)):
        wrong = wrong_value(value, feature_type(kind))
        try:
            held = float(value) == value if largest is None else -largest <= value < largest
        except OverflowError:
            held = False
        assert (wrong == "") == held
        assert str(value) not in wrong or abs(value) < 100
        if not wrong:
            assert frame_of({"x": feature_type(kind)}, [{"x": value}])["x"].tolist() == [value]


def test_libraries_of_training_are_compared_with_those_here(tmp_path: Path) -> None:
    folder = saved(tmp_path, LinearRegression().fit(FRAME, TRUTH))
    bundle = load_bundle(folder)
    assert bundle.libraries["numpy"] == (np.__version__, np.__version__)
    assert bundle.libraries["pandas"] == (pd.__version__, pd.__version__)
    assert bundle.cautions == ()
    path = folder / TRAINING
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"versions": told["versions"] | {"numpy": "1.26.4", "lightgbm": "4.0.0"}}))
    assert load_bundle(folder).cautions == (
        f"the model was saved with numpy 1.26.4, here is {np.__version__}",
        "the model was saved with lightgbm 4.0.0, here is none",
    )
    assert skew(compared("nonsense")) == ()


def test_xgboost_is_known_by_whichever_of_its_packages_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compared({"xgboost": "3.2.0"})["xgboost"] == ("3.2.0", None)
    about = tmp_path / "xgboost_cpu-3.2.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: xgboost-cpu\nVersion: 3.2.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert compared({"xgboost": "3.2.0"})["xgboost"] == ("3.2.0", "3.2.0")
