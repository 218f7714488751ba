"""The bundle: what is saved is what predicts, and only that; rows that do not fit are told by the field."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from app.serving import BundleError, UnfitRows, load_bundle, predict, save_bundle
from app.serving.bundle import FEATURES, MODEL, TRAINING

PEOPLE = pd.DataFrame({
    "age": np.linspace(18, 80, 200),
    "plan": ["basic", "gold", "silver", "gold"] * 50,
    "member": [True, False] * 100,
    "rooms": np.arange(200) % 5,
})  # fmt: skip
TRUTH = (PEOPLE["age"] + 10 * (PEOPLE["plan"] == "gold") > 50).astype(int)
KINDS = {"age": "numeric", "plan": "categorical", "member": "categorical", "rooms": "categorical"}
TYPES = {"member": "boolean", "rooms": "integer"}


def a_pipeline(truth: pd.Series = TRUTH) -> Pipeline:
    encoder = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("codes", encoder, ["plan", "member", "rooms"]), ("age", "passthrough", ["age"])])
    return Pipeline([("columns", columns), ("logistic", LogisticRegression(max_iter=1000))]).fit(PEOPLE, truth)


def saved(folder: Path, estimator: object = None, **training: object) -> Path:
    save_bundle(
        folder, estimator or a_pipeline(), KINDS, model="churn", model_version="3", types=TYPES,  # type: ignore[arg-type]
        training={"labels": {"0": "stays", "1": "leaves"}, "training_metrics": {"accuracy": 0.9}, **training},
    )  # fmt: skip
    return folder


Row = dict[str, str | float | bool | None]


def rows_of(frame: pd.DataFrame) -> list[Row]:
    rows: list[Row] = json.loads(frame.to_json(orient="records"))
    return rows


def test_rows_of_json_are_predicted_as_the_estimator_predicts_the_table(tmp_path: Path) -> None:
    pipeline = a_pipeline()
    found = predict(load_bundle(saved(tmp_path / "b", pipeline)), rows_of(PEOPLE))
    assert [one.prediction for one in found] == pipeline.predict(PEOPLE).tolist()
    assert [one.probability for one in found] == pytest.approx(pipeline.predict_proba(PEOPLE)[:, 1].tolist(), abs=1e-9)
    assert {(one.prediction, one.label) for one in found} == {(0, "stays"), (1, "leaves")}


def test_the_metadata_is_kept(tmp_path: Path) -> None:
    training = load_bundle(saved(tmp_path)).training
    assert (training.model, training.model_version, training.model_type) == ("churn", "3", "LogisticRegression")
    assert training.training_metrics == {"accuracy": 0.9}
    assert training.timestamp.startswith("20")


def test_the_positive_label_chooses_the_probability(tmp_path: Path) -> None:
    row = rows_of(PEOPLE.head(1))
    last = predict(load_bundle(saved(tmp_path / "last")), row)[0].probability
    first = predict(load_bundle(saved(tmp_path / "first", positive_label="0")), row)[0].probability
    assert isinstance(last, float)
    assert first == pytest.approx(1 - last)


def test_many_classes_have_a_probability_each(tmp_path: Path) -> None:
    pipeline = a_pipeline(PEOPLE["plan"])
    found = predict(load_bundle(saved(tmp_path, pipeline, labels={})), rows_of(PEOPLE.head(3)))
    assert [one.label for one in found] == pipeline.predict(PEOPLE.head(3)).tolist()
    assert found[0].probability == pytest.approx(
        dict(zip(["basic", "gold", "silver"], pipeline.predict_proba(PEOPLE.head(1))[0], strict=True))
    )


def test_a_regression_has_no_probability_and_takes_null_and_infinity(tmp_path: Path) -> None:
    model = HistGradientBoostingRegressor(max_iter=5).fit(PEOPLE[["age"]], PEOPLE["age"] * 2)
    save_bundle(tmp_path, model, {"age": "numeric"}, model="price", model_version="1")
    found = predict(load_bundle(tmp_path), [{"age": 40}, {"age": None}])
    assert [one.probability for one in found] == [None, None]
    expected = model.predict(pd.DataFrame({"age": [40.0, np.nan]}))
    assert [one.prediction for one in found] == expected.tolist()


def test_all_missing_features_are_named_in_the_order_of_the_model_and_of_all_rows(tmp_path: Path) -> None:
    good = rows_of(PEOPLE)[0]
    with pytest.raises(UnfitRows, match="missing features: plan, rooms") as error:
        predict(load_bundle(saved(tmp_path)), [good, {"member": True, "age": 3, "colour": "red"}, good, {}])
    assert [(row.row, row.missing) for row in error.value.rows] == [(1, ("plan", "rooms")), (3, tuple(KINDS))]


def test_every_wrong_type_and_unknown_feature_is_named(tmp_path: Path) -> None:
    row: Row = {"age": "old", "plan": 3, "member": "yes", "rooms": 2.5, "colour": "red"}
    with pytest.raises(UnfitRows) as error:
        predict(load_bundle(saved(tmp_path)), [row])
    assert error.value.rows[0].wrong == {
        "colour": "the model has no such feature",
        "age": "expected a number, got a text",
        "member": "expected true or false, got a text",
        "rooms": "expected a whole number, got a number",
    }
    with pytest.raises(UnfitRows, match="age: expected a number, got true or false"):
        predict(load_bundle(tmp_path), [rows_of(PEOPLE)[0] | {"age": True}])


def test_nothing_is_predicted_of_nothing(tmp_path: Path) -> None:
    assert predict(load_bundle(saved(tmp_path)), []) == []


def test_a_changed_model_file_is_not_loaded(tmp_path: Path) -> None:
    saved(tmp_path)
    with (tmp_path / MODEL).open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match=r"not the file that training_metadata\.json names"):
        load_bundle(tmp_path)


def test_without_a_checksum_a_model_is_loaded_with_a_caution(tmp_path: Path) -> None:
    path = saved(tmp_path) / TRAINING
    told = json.loads(path.read_text())
    assert load_bundle(tmp_path).cautions == ()
    assert told["versions"]["scikit_learn"] == sklearn.__version__
    del told["sha256"]
    path.write_text(json.dumps(told))
    assert load_bundle(tmp_path).cautions == ("training_metadata.json names no sha256, so model.joblib is not checked",)


def test_a_model_of_another_scikit_learn_is_loaded_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("sklearn.base.__version__", "1.0.2")  # what estimators write of themselves
        saved(tmp_path)
    (caution,) = load_bundle(tmp_path).cautions
    assert caution.startswith(f"model.joblib was saved with scikit-learn 1.0.2, here is {sklearn.__version__}")


def test_metadata_written_elsewhere_may_leave_out_the_name_and_the_version(tmp_path: Path) -> None:
    path = saved(tmp_path / "churn") / TRAINING
    given = {
        "timestamp": "2026-06-01T12:00:00+00:00", "model_type": "LogisticRegression",
        "training_metrics": {"accuracy": 0.9}, "labels": {"0": "No Churn", "1": "Churn"},
    }  # fmt: skip
    path.write_text(json.dumps(given))
    bundle = load_bundle(tmp_path / "churn")
    assert (bundle.training.model, bundle.training.model_version) == ("churn", given["timestamp"])
    assert bundle.cautions[:2] == (
        "training_metadata.json names no model, so it goes by the folder's name: churn",
        f"training_metadata.json names no model_version, so it goes by its timestamp: {given['timestamp']}",
    )
    path.write_text(json.dumps(given | {"timestamp": "1/6/2026"}))
    with pytest.raises(BundleError, match=r"model_version: 1 to 200 printable characters without '/'"):
        load_bundle(tmp_path / "churn")


def test_features_may_be_a_list_of_which_the_statistics_tell_the_kinds(tmp_path: Path) -> None:
    path = saved(tmp_path) / FEATURES
    stats = {"age": {"mean": 49.0, "std": 18.0}, "plan": {"unique": 3}}
    path.write_text(json.dumps({"features": list(KINDS), "types": TYPES, "feature_stats": stats}))
    assert load_bundle(tmp_path).kinds == KINDS


def test_a_model_outside_the_folder_is_not_loaded(tmp_path: Path) -> None:
    saved(tmp_path / "b")
    (tmp_path / "b" / MODEL).rename(tmp_path / "elsewhere.joblib")
    (tmp_path / "b" / MODEL).symlink_to(tmp_path / "elsewhere.joblib")
    with pytest.raises(BundleError, match="leads out of the folder"):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (FEATURES, None, r"feature_metadata\.json: No such file"),
        (TRAINING, None, r"training_metadata\.json: No such file"),
        (MODEL, None, r"model\.joblib: No such file"),
        (FEATURES, {"features": {"age": "number"}}, "features.age must be one of numeric, categorical, not 'number'"),
        (FEATURES, {"features": {}}, "features names none"),
        (FEATURES, {"features": "age"}, "features must be an object"),
        (FEATURES, {"features": [1]}, "features must be names"),
        (FEATURES, {"features": ["age"], "feature_stats": []}, "feature_stats must be an object"),
        (TRAINING, {"sha256": 5}, "sha256 must be a text"),
        (FEATURES, {"types": {"age": "float"}}, "types.age must be one of number, text, integer, boolean"),
        (TRAINING, {"model_version": 3}, "model_version must be a text"),
        (TRAINING, {"model": "team/churn"}, "model: 1 to 200 printable characters without '/'"),
        (TRAINING, {"labels": []}, "labels must be an object"),
        (TRAINING, {"labels": {"1": 5}}, "labels.1 must be a text, not 5"),
        (TRAINING, {"positive_label": "yes"}, "positive_label 'yes' is not one of 0, 1"),
    ],
)
def test_a_broken_bundle_is_told_by_file_and_field(
    tmp_path: Path, name: str, change: dict[str, object] | None, words: str
) -> None:
    path = saved(tmp_path) / name
    if change is None:
        path.unlink()
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=words):
        load_bundle(tmp_path)


def test_an_absent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere: no such folder"):
        load_bundle(tmp_path / "nowhere")


def test_what_cannot_predict_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="a dict has no predict"):
        load_bundle(saved(tmp_path, {"a": 1}))
