"""Training: what is told of a model is of rows it has not seen, and what it leaves can be served and registered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris

from app.offline.decision import judge
from app.registration.monitoring import monitoring_of as checked
from app.registration.profiling import profile_of
from app.registration.publish import read_baseline
from app.registration.setup import read_metadata, read_monitoring, setup_monitoring
from app.serving import load_bundle, predict
from app.serving.bundle import FEATURES, TRAINING
from app.tables import read_table
from app.training import MONITORING, REFERENCE, TrainingError, TrainingPlan, run_of, train, write
from app.training.folder import monitoring_of
from app.training.pipeline import MOST_CATEGORIES, Estimator


def customers(n: int = 600, seed: int = 0) -> pd.DataFrame:
    """Customers with every kind of column, gaps in each, and a target that they tell something of."""
    rng = np.random.default_rng(seed)
    tenure, plan = rng.exponential(24, n).round(1), rng.choice(["basic", "silver", "gold"], n)
    member, region = rng.random(n) < 0.4, rng.integers(1, 5, n)
    logit = 1.5 - 0.08 * tenure + (plan == "basic") - 1.2 * member + (region == 3)
    frame = pd.DataFrame({
        "tenure": tenure, "plan": plan, "member": member, "region": region,
        "churned": np.where(rng.random(n) < 1 / (1 + np.exp(-logit)), "yes", "no"),
    })  # fmt: skip
    for name in ("tenure", "plan", "member"):
        frame[name] = frame[name].astype(object).mask(rng.random(n) < 0.05)
    return frame


PLAN = TrainingPlan(
    target="churned", categorical=("region",), positive_label="yes", labels={"yes": "Churn", "no": "No Churn"},
    estimator="linear",
)  # fmt: skip


@pytest.mark.parametrize("estimator", ["trees", "linear"])
def test_what_is_left_is_served_and_registered_with_the_metrics_that_were_told(
    tmp_path: Path, estimator: Estimator
) -> None:
    frame = customers()
    trained = train(frame, replace(PLAN, estimator=estimator))
    sha256 = write(tmp_path, trained, "churn", "3")
    bundle = load_bundle(tmp_path)
    assert bundle.cautions == ()
    types = {name: kind.type for name, kind in bundle.types.items()}
    assert types == {"tenure": "number", "plan": "text", "member": "boolean", "region": "integer"}
    assert bundle.kinds["region"] == "categorical"
    reference = read_table(tmp_path / REFERENCE)
    rows = json.loads(reference[list(bundle.kinds)].to_json(orient="records"))
    served = predict(bundle, rows)
    assert [one.prediction for one in served] == reference["prediction"].tolist()
    assert [one.probability for one in served] == pytest.approx(reference["probability"].tolist())
    assert {one.label for one in served} == {"Churn", "No Churn"}
    known = json.loads((tmp_path / FEATURES).read_text())["categories"]
    assert {name: set(of) for name, of in known.items()} == {
        name: set(frame[name].dropna().tolist()) for name in ("plan", "member", "region")
    }
    strange: list[dict[str, Any]] = [
        {"tenure": None, "plan": None, "member": None, "region": None},
        {"tenure": 1e9, "plan": "platinum", "member": True, "region": 77},
    ]
    assert len(predict(bundle, strange)) == 2
    profile = profile_of("churn", "3", reference, read_monitoring(tmp_path / MONITORING))
    assert (profile.task, profile.labels) == ("binary", ("no", "yes"))
    assert {column.name: column.kind for column in profile.features} == bundle.kinds
    told = read_baseline(tmp_path / TRAINING)
    assert {name: profile.baseline[name] for name in told} == pytest.approx(told, abs=0.01)  # AUC is of bins there
    assert json.loads((tmp_path / TRAINING).read_text())["sha256"] == sha256
    assert run_of(trained, "churn", "3", "customers.csv", sha256).metrics == told


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["trees", "linear"])
def test_categories_are_encoded_by_the_model_so_that_it_takes_texts_and_keeps_unknown_apart_from_missing(
    tmp_path: Path, estimator: Estimator
) -> None:
    """`types` says text: as a pandas category a value that training did not have would be read as missing."""
    frame = customers(3000)
    frame["shop"] = [f"s{i % 420 if i % 3 else 0}" for i in range(len(frame))]  # more than the encoder tells apart
    trained = train(frame, replace(PLAN, estimator=estimator))
    write(tmp_path, trained, "churn", "3")
    metadata, bundle = json.loads((tmp_path / FEATURES).read_text()), load_bundle(tmp_path)
    assert metadata["types"]["plan"] == {"type": "text", "nullable": True}
    assert metadata["categories"]["plan"] == ["basic", "gold", "silver"]
    shops = metadata["categories"]["shop"]
    assert "s0" in shops
    assert len(shops) == MOST_CATEGORIES - 1 == len(set(shops) & set(frame["shop"]))
    inputs = trained.inputs.frame
    rows = json.loads(inputs.to_json(orient="records"))
    given = inputs.astype({"plan": "category", "shop": "category"})
    expected = trained.pipeline.predict_proba(given)[:, 1]
    assert [one.probability for one in predict(bundle, rows)] == pytest.approx(expected.tolist(), rel=1e-12)
    unknown, missing = (predict(bundle, [rows[0] | {"plan": plan}])[0].probability for plan in ("platinum", None))
    assert (unknown == missing) == (estimator == "trees")  # which take both for missing


def test_the_configuration_that_is_shown_registers_it_with_the_class_that_was_meant(tmp_path: Path) -> None:
    write(tmp_path, train(customers(), replace(PLAN, positive_label="no")), "churn", "3")
    shown = setup_monitoring(read_metadata(tmp_path / TRAINING), read_metadata(tmp_path / FEATURES))
    (tmp_path / "shown.json").write_text(shown.model_dump_json())
    reference, file = read_table(tmp_path / REFERENCE), read_monitoring(tmp_path / "shown.json")
    profile = profile_of("churn", "3", reference.rename(columns={"churned": "actual"}), file)
    assert profile.labels == ("yes", "no")
    told = dict(shown.performance_monitoring.baseline)
    assert {name: profile.baseline[name] for name in told} == pytest.approx(told, abs=0.01)


def test_the_rows_that_are_judged_are_none_of_those_that_are_learnt() -> None:
    """A target that nothing tells: who is judged on what he has learnt finds more than a coin's accuracy."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.normal(size=(2000, 8)), columns=list("abcdefgh")).assign(y=rng.integers(0, 2, 2000))
    trained = train(frame, TrainingPlan(target="y"))
    assert len(trained.reference) == 500
    assert trained.rows == 1500
    assert abs(trained.metrics["accuracy"] - 0.5) < 0.08
    assert abs(trained.metrics["roc_auc"] - 0.5) < 0.08
    merged = trained.reference.merge(frame, on=list("abcdefgh"))
    assert len(merged) == 500
    seen = frame.drop(index=frame.index[frame["a"].isin(trained.reference["a"])])
    learnt = trained.pipeline.predict(seen[list("abcdefgh")]) == seen["y"]
    assert learnt.mean() > 0.55  # it did learn by heart


def test_many_classes_and_a_regression(tmp_path: Path) -> None:
    flowers = load_iris(as_frame=True).frame
    trained = train(flowers, TrainingPlan(target="target", estimator="linear"))
    assert trained.task == "multiclass"
    assert trained.metrics["accuracy"] > 0.9
    write(tmp_path / "iris", trained, "iris", "1")
    file = read_monitoring(tmp_path / "iris" / MONITORING)
    profile = profile_of("iris", "1", read_table(tmp_path / "iris" / REFERENCE), file)
    assert profile.labels == ("0", "1", "2")
    assert profile.baseline == pytest.approx(dict(trained.metrics), abs=1e-6)
    answers = trained.reference
    each = trained.pipeline.predict_proba(answers[list(trained.inputs.kinds)])
    assert answers["probability"].tolist() == each[np.arange(len(each)), answers["prediction"]].tolist()
    found = judge(profile, answers, file.monitoring, file.columns).performance
    assert found is not None
    assert [metric.name for metric in found.estimated] == ["accuracy"]
    people = load_diabetes(as_frame=True).frame
    price = train(people, TrainingPlan(target="target", estimator="linear"))
    assert price.task == "regression"
    profile = profile_of("d", "1", price.reference, checked(monitoring_of(price)))
    assert profile.baseline == pytest.approx(dict(price.metrics), rel=1e-4)
    assert price.metrics["r2"] > 0.3


def test_a_target_with_gaps_is_learnt_from_the_others_and_keeps_its_type() -> None:
    frame = customers().assign(churned=lambda f: (f["churned"] == "yes").astype(float))
    frame.loc[:99, "churned"] = np.nan
    trained = train(frame, TrainingPlan(target="churned", ignore=("plan",), estimator="linear"))
    assert trained.rows + len(trained.reference) == 500
    assert set(trained.pipeline.classes_.tolist()) == {0, 1}
    assert trained.positive_label == "1"


def test_the_statistics_are_of_the_features(tmp_path: Path) -> None:
    frame = customers()
    write(tmp_path, train(frame, PLAN), "churn", "3")
    stats = json.loads((tmp_path / FEATURES).read_text())["feature_stats"]
    assert stats["tenure"]["mean"] == pytest.approx(frame["tenure"].astype(float).mean())
    assert stats["tenure"]["std"] == pytest.approx(frame["tenure"].astype(float).std(ddof=0))
    assert stats["plan"]["counts"] == frame["plan"].value_counts().to_dict()
    assert stats["plan"]["missing"] == frame["plan"].isna().sum()
    assert set(stats["member"]["counts"]) == {"true", "false"}


def test_the_same_seed_trains_the_same() -> None:
    one, other = (train(customers(), PLAN) for _ in range(2))
    pd.testing.assert_frame_equal(one.reference, other.reference)
    assert one.metrics == other.metrics


def test_a_model_does_not_drift_from_its_own_reference(tmp_path: Path) -> None:
    trained = train(customers(4000), PLAN)
    file = checked(monitoring_of(trained))
    found = judge(profile_of("churn", "3", trained.reference, file), trained.reference, file.monitoring, file.columns)
    assert not found.drifted
    assert found.performance is not None


def replaced(**columns: object) -> pd.DataFrame:
    return customers().assign(**columns)


@pytest.mark.parametrize(
    ("frame", "plan", "words"),
    [
        (customers(), {"target": "left"}, "--target: no column 'left' in the table; it has tenure, plan"),
        (customers(), {"ignore": ("x",)}, "--ignore: no column 'x'"),
        (customers(), {"holdout": 1.5}, "--holdout: must be above 0 and below 1, not 1.5"),
        (customers(), {"positive_label": "maybe"}, "--positive-label: must be one of no, yes, not 'maybe'"),
        (customers(), {"labels": {"1": "Churn"}}, "--label 1=…: the classes are no, yes"),
        (customers(), {"task": "regression"}, "--target: 'churned' holds more than finite numbers"),
        (customers(30), {}, "30 rows with a 'churned' are too few"),
        (replaced(churned="no"), {}, "'churned' has one value only, 'no'"),
        (replaced(churned=[f"c{i}" for i in range(600)]), {}, "600 classes in 600 rows; is it an id"),
        (replaced(churned=["odd"] * 3 + ["no", "yes", "no"] * 199), {}, "too few rows of odd"),
        (
            replaced(key=[f"k{i}" for i in range(600)], when=pd.Timestamp("2026-01-01"), nothing=None, prediction=1),
            {},
            "key has 600 different texts .* --ignore key --ignore when --ignore nothing --ignore prediction",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_told_by_its_flag(frame: pd.DataFrame, plan: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        train(frame, replace(PLAN, **plan))
