"""Registration: tables to profiles against pandas, and monitoring.json read strictly."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from app.core.config.monitoring import DefaultTruth, Monitoring, Rule
from app.core.reference.profile import Profile
from app.registration.monitoring import MonitoringError, MonitoringFile, monitoring_of
from app.registration.profiling import profile_of
from app.registration.publish import RegistrationError, read_baseline, register
from app.registration.roles import features_of, roles_of
from app.registration.setup import read_monitoring
from app.registration.task import task_of
from app.settings.settings import load_settings
from app.tables import CellTable, TableError, read_table


def a_table(n: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    probability = rng.uniform(size=n)
    return pd.DataFrame({
        "prediction_id": [f"id-{i}" for i in range(n)],
        "timestamp": pd.date_range("2026-01-01", periods=n, freq="min", tz="UTC"),
        "age": np.where(rng.uniform(size=n) < 0.1, np.nan, rng.integers(18, 90, n)),
        "children": rng.integers(0, 4, n),
        "code": rng.choice([1, 2, 30], n),
        "member": rng.choice([True, False], n),
        "plan": rng.choice(np.array(["basic", "gold", None], dtype=object), n),
        "prediction": (probability > 0.5).astype(int),
        "probability": probability,
        "target": (rng.uniform(size=n) < probability).astype(int),
    })  # fmt: skip


def in_file(folder: Path, suffix: str, frame: pd.DataFrame) -> Path:
    path = folder / f"reference{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=True, date_format="iso", double_precision=15)
    return path


CODES = monitoring_of({"columns": {"categorical": ["code"]}})


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_a_profile_holds_what_pandas_counts_whatever_the_file(tmp_path: Path, suffix: str) -> None:
    table = a_table()
    profile = profile_of("churn", "1", read_table(in_file(tmp_path, suffix, table)), CODES)
    assert profile.task == "binary"
    assert profile.labels == ("0", "1")
    assert profile.n == len(table)
    columns = {column.name: column for column in profile.features}
    assert {name: column.kind for name, column in columns.items()} == {
        "age": "numeric", "children": "numeric", "code": "categorical", "member": "categorical", "plan": "categorical",
    }  # fmt: skip
    ages = table["age"].value_counts().sort_index()
    assert dict(zip(columns["age"].values, columns["age"].counts, strict=True)) == ages.to_dict()
    assert columns["age"].missing == table["age"].isna().sum()
    spelled = {
        "code": table["code"].astype(str),
        "member": table["member"].map({True: "true", False: "false"}),
        "plan": table["plan"],
    }
    for name, truth in spelled.items():
        column = columns[name]
        assert dict(zip(column.categories, column.counts, strict=True)) == truth.value_counts().to_dict()
        assert column.missing == truth.isna().sum()
    assert profile.baseline["accuracy"] == accuracy_score(table["target"], table["prediction"])
    assert profile.baseline["roc_auc"] == pytest.approx(roc_auc_score(table["target"], table["probability"]), abs=2e-3)


def test_a_profile_survives_the_wire() -> None:
    profile = profile_of("churn", "1", a_table())
    assert msgspec.json.decode(msgspec.json.encode(profile), type=Profile) == profile


def test_events_as_jsonl_are_a_table(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = [
        {"prediction_id": str(i), "model": "m", "model_version": "1", "timestamp": 1.0 * i, "metadata": {"a": 1},
         "features": {"age": i, "plan": "basic"}, "prediction": "no" if i % 2 else "yes", "probability": 0.5}
        for i in range(4)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, events)) + "\n\n")
    frame = read_table(path)
    assert roles_of(frame, CODES.columns.__class__()).kinds == {"age": "numeric", "plan": "categorical"}
    assert frame["age"].tolist() == [0, 1, 2, 3]


def test_integers_are_numeric_and_a_listed_kind_wins() -> None:
    table = a_table()
    assert roles_of(table, monitoring_of({}).columns).kinds["code"] == "numeric"
    assert roles_of(table, CODES.columns).kinds["code"] == "categorical"


@pytest.mark.parametrize(
    ("changed", "task"),
    [
        ({}, "binary"),
        ({"prediction": np.arange(600) % 3}, "multiclass"),
        ({"prediction": np.arange(600) / 7, "target": np.arange(600) / 6}, "regression"),
        ({"prediction": np.arange(600), "target": np.arange(600)}, "regression"),
        ({"prediction": ["a", "b", "c"] * 200, "target": ["a", "b", "c"] * 200}, "multiclass"),
    ],
)
def test_the_task_is_told_by_the_outputs(changed: dict[str, object], task: str) -> None:
    table = a_table().assign(**changed)
    file = monitoring_of({})
    cells, roles = CellTable(table), roles_of(table, file.columns)
    assert task_of(cells, roles, file).task == task
    assert task_of(cells, roles, monitoring_of({"task": "regression"})).task == "regression"


def test_a_regression_has_its_errors_as_baseline() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(50, 10, 600)
    table = a_table().drop(columns=["probability"]).assign(target=truth, prediction=truth + rng.normal(0, 1, 600))
    profile = profile_of("price", "1", table)
    assert profile.labels == ()
    assert profile.baseline["mae"] == pytest.approx(np.abs(table["prediction"] - truth).mean(), rel=1e-5)


def test_given_metrics_replace_those_of_the_table_and_change_the_identity(tmp_path: Path) -> None:
    path = tmp_path / "training_metadata.json"
    path.write_text('{"model_type": "x", "training_metrics": {"accuracy": 0.9}}')
    found = profile_of("churn", "1", a_table())
    given = profile_of("churn", "1", a_table(), baseline=read_baseline(path))
    assert given.baseline == found.baseline | {"accuracy": 0.9}
    assert given.profile_id != found.profile_id


def test_the_positive_class_is_taken_from_probabilities_by_class() -> None:
    table = a_table()
    by_class = [{"0": 1 - p, "1": p} for p in table["probability"]]
    file = monitoring_of({"positive_label": "1"})
    assert profile_of("churn", "1", table.assign(probability=by_class), file).probability == (
        profile_of("churn", "1", table, file).probability
    )
    with pytest.raises(MonitoringError, match="positive_label: needed"):
        profile_of("churn", "1", table.assign(probability=by_class))


@pytest.mark.parametrize(
    ("change", "config", "words"),
    [
        (lambda t: t, {"columns": {"prediction": "said"}}, r"no column 'said' in the table \(columns.prediction names"),
        (lambda t: t.drop(columns="prediction"), {"task": "binary"}, "task: binary needs predictions"),
        (lambda t: t, {"columns": {"target": "truth"}}, r"no column 'truth' in the table \(columns.target names it\)"),
        (lambda t: t, {"columns": {"features": ["age", "size"]}}, r"no column 'size' in the table \(columns.features"),
        (lambda t: t, {"columns": {"numeric": ["plan"]}}, "column 'plan' holds texts, not numbers"),
        (lambda t: t, {"columns": {"numeric": ["member"]}}, "column 'member' holds truth values, not numbers"),
        (lambda t: t, {"columns": {"numeric": ["target"]}}, "'target' is not one of the features"),
        (lambda t: t, {"columns": {"numeric": ["age"], "categorical": ["age"]}}, "column 'age' is listed under"),
        (lambda t: t.assign(tags=[["a"]] * len(t)), {}, "column 'tags' holds a list, neither numbers nor categories"),
        (lambda t: t.assign(tags=[{"a": 1}] * len(t)), {}, "column 'tags' holds an object, neither numbers nor"),
        (lambda t: t.assign(age=[b"\xff"] * len(t)), {}, "column 'age' holds bytes that are not UTF-8"),
        (lambda t: t.assign(age=t["timestamp"] - t["timestamp"][0]), {}, "column 'age' holds a value of type"),
        (lambda t: t.assign(empty=np.nan), {}, "column 'empty' has no values: list it under columns.ignore"),
        (lambda t: t.assign(probability=2.0), {}, "column 'probability' has values outside 0 to 1"),
        (lambda t: t, {"alerting": {"critical_features": ["size"]}}, "critical_features: size is not one"),
        (lambda t: t, {"task": "binary", "labels": ["0", "1", "2"]}, "a binary model has 2, found 3"),
    ],
)  # fmt: skip
def test_an_unusable_table_is_told_by_the_column(change: object, config: dict[str, object], words: str) -> None:
    assert callable(change)
    with pytest.raises((TableError, MonitoringError), match=words):
        profile_of("churn", "1", change(a_table()), monitoring_of(config))


def test_features_of_a_later_table_follow_the_kinds_of_the_reference() -> None:
    decisions = roles_of(a_table(), CODES.columns).decisions
    later = features_of(a_table().assign(code=1.0, children="three", age="17"), decisions)
    assert features_of(a_table(), decisions)["code"] == a_table()["code"].astype(str).tolist()
    assert np.isnan(np.asarray(later["children"], np.float64)).all()
    assert set(later["code"]) == {"1"}
    assert set(later["age"]) == {17.0}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.xlsx", b"", "unknown kind of file; give .csv, .parquet or .jsonl"),
        ("a.csv", b"", "No columns to parse from file"),
        ("a.csv", b"x,y\n", "the table has no rows"),
        ("a.csv", b"x\n1\n1,2,3\n", "Expected 1 fields in line 3, saw 3"),
        ("a.csv", b"\xff\xfe\x00", "decode"),
        ("a.parquet", b"none", "a.parquet: .*[Pp]arquet"),
        ("a.jsonl", b'{"a": 1}\n{"a":', "line 2: Input data was truncated"),
        ("a.jsonl", b"[1]", "line 1: expected an object"),
    ],
)
def test_an_unreadable_file_is_one_clear_line(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TableError, match=words) as error:
        read_table(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"a\.csv: no such file"):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([], "must be a JSON object"),
        ({"window": {}}, "unknown key window; did you mean windows?"),
        ({"windows": {"panel": 3}}, r"unknown key windows.panel; did you mean windows.pane"),
        ({"alerting": {"data_drift": {"fro_windows": 3}}}, "did you mean alerting.data_drift.for_windows"),
        ({"columns": {"predicted": "x"}}, "unknown key columns.predicted; did you mean columns.prediction"),
        ({"columns": {"ignore": "x"}}, "columns.ignore: expected `array`, got `str`"),
        ({"task": "ranking"}, "task: invalid enum value 'ranking'"),
        ({"windows": {"pane": "60"}}, "windows.pane: expected `float`, got `str`"),
        ({"windows": {"pane": 0}}, "windows.pane: must be above 0, not 0"),
        ({"windows": {"panes": 0}}, "windows.panes: must be at least 1, not 0"),
        ({"windows": {"longest": 4e7}}, "windows.longest: must be at most 31,536,000 "),
        ({"windows": 5}, "windows: expected `object`, got `int`"),
        (
            {"decision": {"false_alarms": "often"}},
            'decision.false_alarms: must be "off" or a rate such as "1 per month"',
        ),
        (
            {"performance": {"default_truth": {"value": 0, "after": "a month"}}},
            "default_truth.after: must be seconds, or a",
        ),
        ({"performance": {"default_truth": {"value": 0, "after": "30d"}}}, "set windows.retention to 5184000"),
        (
            {"performance": {"default_truth": {"value": 0, "after": 0}}},
            "performance.default_truth.after: must be above 0",
        ),
        ({"performance": {"default_truth": {"val": 0}}}, "performance.default_truth.val; did you mean"),
        ({"performance": {"default_truth": {"value": 0}}}, "missing required field `after`"),
        ({"drift": {"share": 1.5}}, "drift.share: must be above 0 and at most 1, not 1.5"),
        ({"drift": {"policy": "loud"}}, "drift.policy: invalid enum value 'loud'"),
        ({"performance": {"metrics": {"f1": "low"}}}, "performance.metrics.*: expected `float`, got `str`"),
        ({"performance": {"metrics": {"f1": -1}}}, "performance.metrics.f1: must not be below 0"),
        ({"alerting": {"performance": {"for_windows": 0}}}, "alerting.performance.for_windows: must be at least 1"),
    ],
)
def test_a_wrong_key_of_monitoring_is_named(raw: object, words: str) -> None:
    with pytest.raises(MonitoringError, match=words):
        monitoring_of(raw)


def test_what_monitoring_does_not_say_keeps_its_default() -> None:
    found = monitoring_of({"alerting": {"prediction_drift": {"for_windows": 5}}, "windows": {"pane": 5}}).monitoring
    assert found.alerting.prediction_drift == Rule(level="warning", for_windows=5)
    assert (found.windows.pane, found.windows.panes) == (5.0, Monitoring().windows.panes)
    assert monitoring_of({}).monitoring == Monitoring()
    assert read_monitoring(None).monitoring == Monitoring()


async def test_silence_means_a_truth_that_the_model_can_have() -> None:
    raw = {"performance": {"default_truth": {"value": 0, "after": "30d"}}, "windows": {"retention": 60 * 86_400}}
    file = monitoring_of(raw)
    assert file.monitoring.performance.default_truth == DefaultTruth(0, 30 * 86_400.0)
    frame = pd.DataFrame({"x": np.arange(40.0), "prediction": ["no", "yes"] * 20, "actual": ["no", "yes"] * 20})
    with pytest.raises(RegistrationError, match=r"performance.default_truth.value: 0 is none of the labels no, yes"):
        await register(load_settings(bootstrap_servers="127.0.0.1:1"), "churn", "1", frame, file)


def test_a_wrong_file_of_monitoring_is_named(tmp_path: Path) -> None:
    path = tmp_path / "monitoring.json"
    path.write_text("{")
    with pytest.raises(MonitoringError, match=r"monitoring\.json: .*truncated"):
        read_monitoring(path)
    path.write_text('{"tasks": 1}')
    with pytest.raises(MonitoringError, match=r"monitoring\.json: unknown key tasks; did you mean task\?"):
        read_monitoring(path)


@pytest.mark.parametrize("content", ["[]", '{"accuracy": "high"}', "{"])
def test_a_wrong_baseline_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(content)
    with pytest.raises(RegistrationError, match=r"baseline\.json: expected an object of metrics"):
        read_baseline(path)


@pytest.mark.parametrize("name", ["", "a/b", ".", "..", "a\nb", "x" * 201])
async def test_a_name_that_no_address_can_have_is_refused(name: str) -> None:
    nowhere = load_settings(bootstrap_servers="127.0.0.1:1")
    for field, named in (("model", (name, "1")), ("version", ("churn", name))):
        with pytest.raises(RegistrationError, match=f"^{field}: 1 to 200 printable characters without '/'"):
            await register(nowhere, *named, pd.DataFrame())


def test_a_probability_is_of_the_label_that_is_predicted_where_it_is_high_unless_somebody_says() -> None:
    probability = np.linspace(0.01, 0.99, 100)
    frame = pd.DataFrame({
        "a": np.arange(100) % 7, "probability": probability,
        "prediction": np.where(probability > 0.3, "leaves", "stays"),
    })  # fmt: skip
    assert profile_of("m", "1", frame).labels == ("stays", "leaves")  # and not the last by name
    assert profile_of("m", "1", frame, MonitoringFile(positive_label="stays")).labels == ("leaves", "stays")
    assert profile_of("m", "1", frame, MonitoringFile(labels=("leaves", "stays"))).labels == ("leaves", "stays")
    assert profile_of("m", "1", frame.drop(columns="probability")).labels == ("leaves", "stays")
    assert profile_of("m", "1", frame.assign(probability=0.5)).labels == ("leaves", "stays")
