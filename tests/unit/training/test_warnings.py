"""Training warns of what a first user does not see: leaks, running ids, certain drift, baselines that cannot fall."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.metrics import roc_auc_score

from app.registration.profiling import profile_of
from app.registration.setup import read_monitoring
from app.serving import load_bundle, predict
from app.serving.bundle import FEATURES, TRAINING
from app.tables import read_table
from app.training import MONITORING, REFERENCE, TrainedModel, TrainingError, TrainingPlan, train, write

N = 800
RNG = np.random.default_rng(11)
SIGNAL = RNG.normal(size=N)
CHURNED = (SIGNAL + RNG.normal(size=N) > 0).astype(int)
PLAN = TrainingPlan(target="y", estimator="linear")


@pytest.fixture(autouse=True)
def in_any_order() -> None:
    """Give each test the same rows, whichever came before it."""
    RNG.bit_generator.state = np.random.default_rng(18).bit_generator.state


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"signal": SIGNAL, **columns, "y": CHURNED})


def concerns(trained: TrainedModel) -> set[tuple[str, str]]:
    return {(one.concern, one.column) for one in trained.warnings}


LEAKS = {
    "its own spelling": np.where(CHURNED == 1, "left", "stayed"),
    "the other way round": 1.0 - CHURNED,
    "with a little noise": CHURNED + RNG.normal(scale=0.15, size=N),
    "the date of what came": np.where(CHURNED == 1, RNG.integers(1, 28, N), np.nan),
    "within a band": np.where(CHURNED == 1, RNG.uniform(4, 6, N), RNG.choice([1.0, 9.0], N)),
    "beyond float32": 10.0**15 + CHURNED,
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_column_that_says_the_target_by_itself_is_named_with_its_figure(leak: str) -> None:
    trained = train(table(leak=LEAKS[leak]), PLAN)
    assert concerns(trained) == {("leaked_target", "leak")}
    (warning,) = trained.warnings
    assert warning.threshold == 0.99
    assert warning.figure == pytest.approx(1, abs=0.01)
    assert f"AUC {warning.figure:.4f} on rows held out, the threshold is 0.99" in str(warning)
    assert "--ignore leak" in str(warning)


def test_the_figure_is_the_auc_of_the_rows_held_out_and_no_other() -> None:
    """A column that is perfect in what the model has seen, and noise in what it has not, leaks nothing."""
    for scale in (0.2, 0.3):  # on both sides of the threshold
        column = CHURNED + RNG.normal(scale=scale, size=N)
        trained = train(table(leak=column), PLAN)
        auc = roc_auc_score(trained.reference["y"], trained.reference["leak"])
        assert concerns(trained) == ({("leaked_target", "leak")} if auc >= 0.99 else set())
        for warning in trained.warnings:
            assert warning.figure == pytest.approx(auc, abs=0.005)
    seen = set(map(float, SIGNAL)) - set(train(table(), PLAN).reference["signal"])
    learnt = np.where([value in seen for value in SIGNAL], CHURNED, RNG.integers(0, 2, N)).astype(float)
    assert concerns(train(table(learnt=learnt), PLAN)) == set()


@pytest.mark.slow
def test_leaks_of_many_classes_of_numbers_and_of_few_rows() -> None:
    classes = RNG.choice(["a", "b", "c"], N)
    codes = pd.Series(classes).map({"b": 1.0, "c": 2.0, "a": 3.0})
    frame = pd.DataFrame({"noise": SIGNAL, "code": codes, "copy": classes, "y": classes})
    assert concerns(train(frame, PLAN)) == {("leaked_target", "code"), ("leaked_target", "copy")}
    price = RNG.uniform(50, 500, N)
    frame = pd.DataFrame(
        {"noise": SIGNAL, "rough": price + RNG.normal(scale=60, size=N), "log": np.log(price), "y": price}
    )
    trained = train(frame, PLAN)
    assert concerns(trained) == {("leaked_target", "log")}
    assert "R² " in str(trained.warnings[0])
    rare = np.zeros(60, int)
    rare[::12] = 1  # one of five is held out: a single row
    frame = pd.DataFrame({"noise": SIGNAL[:60], "leak": rare * 2.0, "y": rare})
    assert ("leaked_target", "leak") in concerns(train(frame, PLAN))
    for seed in range(5):  # and chance is not called a leak
        noise = np.random.default_rng(seed).normal(size=(60, 5))
        some = train(pd.DataFrame(noise, columns=list("abcde")).assign(y=rare), PLAN)
        assert not any(concern == "leaked_target" for concern, _ in concerns(some))


IDS = {
    "rising, with gaps": np.cumsum(RNG.integers(1, 9, N)),
    "falling": 10**6 - np.arange(N) * 3,
    "all different": RNG.permutation(np.arange(N) * 7),
    "two rows each": np.arange(N) // 2,
    "beyond 2**53": 2**56 + np.arange(N) * 512,
}
DRIFTING = {
    "a meter that is read": np.arange(N) * 1.5 + RNG.normal(size=N) * 9,
    "falling slowly": -np.arange(N) + RNG.normal(size=N) * 20,
    "times in seconds": 1_700_000_000 + RNG.integers(0, 10**7, N),
    "times in milliseconds": 1_700_000_000_000 + RNG.integers(0, 10**9, N),
    "days as numbers": 20260100 + RNG.integers(1, 29, N),
    "months, one after another": np.repeat([f"2026-{month:02d}" for month in range(1, 9)], N // 8),
}


@pytest.mark.parametrize("given", IDS)
def test_a_running_id_is_named(given: str) -> None:
    trained = train(table(number=IDS[given]), PLAN)
    assert concerns(trained) == {("running_id", "number")}
    assert "--ignore number" in str(trained.warnings[0])


@pytest.mark.parametrize("given", DRIFTING)
def test_a_column_that_is_certain_to_drift_is_named(given: str) -> None:
    trained = train(table(column=DRIFTING[given]), PLAN)
    assert concerns(trained) == {("certain_drift", "column")}
    assert "--ignore column" in str(trained.warnings[0])


def test_a_column_of_years_drifts_even_where_the_table_is_of_one() -> None:
    assert concerns(train(table(year=np.full(N, 2025)), PLAN)) == {("certain_drift", "year")}
    years = table(birth_year=RNG.integers(1950, 2000, N), order_year=RNG.integers(2023, 2026, N))
    assert concerns(train(years, PLAN)) == {("certain_drift", "order_year")}


def test_the_order_is_that_of_a_column_of_times_where_the_table_has_one() -> None:
    shuffled = RNG.permutation(N)
    when = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(N), unit="h")
    frame = table(meter=np.arange(N) * 1.5 + RNG.normal(size=N), when=when.astype(str)).iloc[shuffled]
    plan = replace(PLAN, ignore=("when",))
    trained = train(frame.reset_index(drop=True), plan)
    assert concerns(trained) == {("certain_drift", "meter")}
    assert "the time in 'when'" in str(trained.warnings[0])
    assert concerns(train(frame.drop(columns="when").reset_index(drop=True), PLAN)) == set()


def test_few_numbers_and_numbers_that_hardly_differ_are_no_leak_and_no_order() -> None:
    few = table(y=RNG.normal(size=N)).head(40)
    assert {concern for concern, _ in concerns(train(few, PLAN))} <= {"zero_baseline"}
    once = table(y=np.where(np.arange(N) == 3, 1.6, 1.5))
    assert {concern for concern, _ in concerns(train(once, replace(PLAN, task="regression")))} <= {"zero_baseline"}


def test_rows_are_told_apart_by_their_place_whatever_their_index() -> None:
    half = table().head(N // 2)
    assert len(train(pd.concat([half, half]), PLAN).reference) == N // 4
    with pytest.raises(TrainingError, match="columns: names must be texts, not 0, 'y'"):
        train(half.rename(columns={"signal": 0}), PLAN)


@pytest.mark.parametrize("load", [load_breast_cancer, load_diabetes, load_iris, load_wine])
def test_tables_that_people_train_on_are_not_warned_of_without_a_cause(load: object) -> None:
    frame = load(as_frame=True).frame  # type: ignore[operator]
    found = concerns(train(frame, TrainingPlan(target="target", estimator="linear")))
    sorted_by_class = {("row_order", "target")} if load in (load_iris, load_wine) else set()
    assert found - {("running_id", "proline")} == sorted_by_class


def test_baselines_that_cannot_fall_are_named_with_what_can_be_judged() -> None:
    rare = (RNG.random(2000) < 0.01).astype(int)
    noise = pd.DataFrame(RNG.normal(size=(2000, 2)), columns=["a", "b"])
    trained = train(noise.assign(y=rare), PLAN)
    assert trained.metrics["f1"] == 0
    assert concerns(trained) == {("one_answer", "y"), ("zero_baseline", "y")}
    told = " ".join(map(str, trained.warnings))
    assert "predicts '0' for 100.0% of the rows held out, the threshold is 99.5%" in told
    assert "the baseline of precision, recall, f1 is 0" in told
    assert "roc_auc" in told.partition("never judged;")[2]
    classes = np.where(RNG.random(2000) < 0.02, "rare", np.where(noise["a"] > 0, "b", "c"))
    (warning,) = train(noise.assign(y=classes), PLAN).warnings
    assert (warning.concern, warning.column) == ("zero_baseline", "y")
    assert "class rare was predicted right" in str(warning)
    (warning,) = train(noise.assign(y=RNG.normal(size=2000)), PLAN).warnings
    assert "no better than its mean" in str(warning)


@pytest.mark.slow
def test_warnings_types_and_examples_are_in_the_metadata_and_the_loaded_model_answers_as_they_say(
    tmp_path: Path,
) -> None:
    plan = pd.Series(RNG.choice(["basic", "gold"], N)).mask(RNG.random(N) < 0.1)
    frame = table(plan=plan, member=RNG.random(N) < 0.5, region=RNG.integers(1, 5, N), leak=CHURNED * 2.5)
    frame.loc[5:30, "signal"] = np.nan
    for estimator, target in (("trees", CHURNED), ("linear", RNG.choice(["a", "b", "c"], N)), ("trees", SIGNAL * 3)):
        given = frame.assign(y=target)
        folder = tmp_path / f"{estimator}-{given['y'].dtype}"
        trained = train(given, replace(PLAN, estimator=estimator, categorical=("region",)))  # type: ignore[arg-type]
        write(folder, trained, "churn", "3")
        metadata, features = (json.loads((folder / name).read_text()) for name in (TRAINING, FEATURES))
        assert {name: one["type"] for name, one in features["types"].items()} == {
            "signal": "number", "plan": "text", "member": "boolean", "region": "integer", "leak": "number",
        }  # fmt: skip
        assert all(set(one) == {"type", "nullable"} for one in features["types"].values())
        assert [(one["concern"], one["column"]) for one in metadata["warnings"]] == [
            (one.concern, one.column) for one in trained.warnings
        ]
        assert metadata["versions"]["numpy"] == np.__version__
        assert metadata["versions"]["pandas"] == pd.__version__
        assert len(metadata["examples"]) == 10
        assert all(set(one) == {"features", "prediction", "probability"} for one in metadata["examples"])
        bundle = load_bundle(folder)
        answers = predict(bundle, [one["features"] for one in metadata["examples"]])
        assert [one.prediction for one in answers] == [one["prediction"] for one in metadata["examples"]]
        for answer, example in zip(answers, metadata["examples"], strict=True):
            assert answer.probability == pytest.approx(example["probability"])
        nullable = {name: None for name, one in features["types"].items() if one["nullable"]}
        assert len(predict(bundle, [{**metadata["examples"][0]["features"], **nullable}])) == 1
        if trained.task != "regression":
            assert {one["prediction"] for one in metadata["examples"]} == set(trained.reference["prediction"])
        json.dumps(metadata, allow_nan=False)


def test_types_may_be_names_or_objects(tmp_path: Path) -> None:
    write(tmp_path, train(table(member=RNG.random(N) < 0.5), PLAN), "churn", "3")
    path = tmp_path / FEATURES
    features = json.loads(path.read_text())

    def types() -> dict[str, str]:
        return {name: one.type for name, one in load_bundle(tmp_path).types.items()}

    before = types()
    path.write_text(json.dumps(features | {"types": {"member": "boolean"}}))
    assert types() == before == {"signal": "number", "member": "boolean"}
    path.write_text(json.dumps(features | {"types": {"member": {"nullable": True}}}))
    with pytest.raises(ValueError, match=r"types\.member\.type must be one of number, .*, not None"):
        load_bundle(tmp_path)


def test_hidden_values_are_in_no_file_of_a_training_but_the_private_reference(tmp_path: Path) -> None:
    names = [f"name{i % 50:02d}" for i in range(N)]
    frame = table(person=names, salary=40_000.5 + np.arange(N) % 61, phone=[f"+49-{i % 70:04d}" for i in range(N)])
    plan = replace(PLAN, redact=("person", "salary"), hashed=("phone",))
    trained = train(frame, plan)
    write(tmp_path, trained, "churn", "3")
    for name in (TRAINING, FEATURES, MONITORING):
        text = (tmp_path / name).read_text()
        assert not any(value in text for value in ("name07", "+49-", "40000.5", "40060.5"))
    assert not {"person", "phone"} & set(json.loads((tmp_path / FEATURES).read_text())["categories"])
    metadata = json.loads((tmp_path / TRAINING).read_text())
    assert metadata["examples"] == []
    assert metadata["examples_left_out"] == (
        "no examples are stored, because values are hidden: person, salary redacted; phone hashed"
    )
    reference = read_table(tmp_path / REFERENCE)
    assert not {"person", "salary"} & set(reference.columns)
    assert (tmp_path / REFERENCE).stat().st_mode & 0o077 == 0
    watched = json.loads((tmp_path / MONITORING).read_text())
    watched["columns"]["redact"].append("a name in metadata")
    (tmp_path / MONITORING).write_text(json.dumps(watched))
    write(tmp_path, train(frame, replace(PLAN, hashed=("salary",))), "churn", "4")  # what was hidden before stays so
    assert "name07" not in (tmp_path / TRAINING).read_text() + (tmp_path / FEATURES).read_text()
    columns = read_monitoring(tmp_path / MONITORING).columns
    assert (columns.redact, columns.hash) == (("person", "a name in metadata"), ("salary", "phone"))
    write(tmp_path, trained, "churn", "3")
    file = read_monitoring(tmp_path / MONITORING)
    profile = profile_of("churn", "3", reference, file, key=b"a key that nobody may know")
    assert [column.name for column in profile.features] == ["signal", "phone"]
    assert load_bundle(tmp_path).kinds["salary"] == "numeric"


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"redact": ("x",)}, "--redact: no column 'x'"),
        ({"hashed": ("y",)}, "--hash: 'y' is the target"),
        ({"redact": ("signal",), "hashed": ("signal",)}, "--hash: 'signal' is hidden by --redact and --hash"),
    ],
)  # fmt: skip
def test_what_cannot_be_hidden_is_said_by_its_flag(plan: dict[str, tuple[str, ...]], words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        train(table(), replace(PLAN, **plan))  # type: ignore[arg-type]
