"""Logged models of MLflow: their features and kinds, from the layout that MLflow documents and writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from app.commands.options import CommandError
from app.commands.register.mlflow_uri import find_mlflow_model
from app.registration.mlflow_model import (
    MlflowError,
    MlflowInput,
    MlflowModel,
    read_mlflow_model,
    with_mlflow_inputs,
)
from app.registration.monitoring import monitoring_of
from app.registration.profiling import profile_of
from app.tables import TableError
from tests.support.mlflow_folder import EXAMPLE, MLMODEL, write_mlflow_model


def changed(**more: Any) -> str:
    """The MLmodel file with other members; None leaves one out."""
    found = {**yaml.safe_load(MLMODEL), **more}
    return str(yaml.safe_dump({name: value for name, value in found.items() if value is not None}))


def inputs(*given: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": json.dumps(given), "outputs": None, "params": None}


def test_the_layout_that_mlflow_writes_is_read(tmp_path: Path) -> None:
    model = find_mlflow_model(str(write_mlflow_model(tmp_path)))
    assert model == MlflowModel("churn", "3", [
        MlflowInput("tenure", "double", "numeric"), MlflowInput("plan", "string", "categorical"),
        MlflowInput("region", "long", None), MlflowInput("member", "boolean", "categorical", required=False),
    ], ["since (datetime)"])  # fmt: skip
    for uri in (f"file://{tmp_path}", str(tmp_path / "MLmodel")):
        assert find_mlflow_model(uri) == model
    assert list(model.notes(["tenure", "plan", "region"])) == [
        "MLflow: not monitored, since the reference does not have them: member",
        "MLflow: not monitored, since they are no numbers or categories: since (datetime)",
    ]


@pytest.mark.parametrize(
    ("more", "registered", "expected"),
    [
        ({}, None, (None, None)),
        ({"metadata": {"driftline.model": "mine", "driftline.version": 7}}, "churn", ("mine", "7")),
        ({"metadata": {"driftline.version": "7", "other": {}}}, "churn", ("churn", "7")),
        ({"metadata": {}}, "churn", ("churn", "3")),
    ],
)
def test_names_are_the_tags_else_the_registered_ones(
    tmp_path: Path, more: dict[str, Any], registered: str | None, expected: tuple[str | None, str | None]
) -> None:
    found = read_mlflow_model(write_mlflow_model(tmp_path, changed(**more), name=registered))
    assert (found.name, found.version) == expected


@pytest.mark.parametrize(
    ("column", "required"),
    [({}, True), ({"required": False}, False), ({"optional": True}, False), ({"optional": "True"}, False),
     ({"optional": False}, True), ({"required": "false"}, False), ({"required": True, "optional": True}, True)],
)  # fmt: skip
def test_releases_of_mlflow_say_in_two_ways_what_is_optional(
    tmp_path: Path, column: dict[str, Any], required: bool
) -> None:
    document = changed(signature=inputs({"name": "a", "type": "double", **column}))
    (found,) = read_mlflow_model(write_mlflow_model(tmp_path, document)).inputs
    assert found == MlflowInput("a", "double", "numeric", required)


def test_without_a_signature_the_input_example_has_the_names(tmp_path: Path) -> None:
    found = read_mlflow_model(write_mlflow_model(tmp_path, changed(signature=None)))
    assert [(one.name, one.kind) for one in found.inputs] == [
        ("tenure", None), ("plan", "categorical"), ("region", None), ("member", "categorical"),
        ("since", "categorical"),
    ]  # fmt: skip
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}
    for document, skipped in (
        (changed(signature=None, saved_input_example_info=None), []),
        (changed(signature=inputs(tensor)), ["an input without a name (tensor)"]),
    ):
        found = read_mlflow_model(write_mlflow_model(tmp_path, document))
        assert (found.inputs, found.skipped) == ([], skipped)
        assert "no signature with names" in list(found.notes([]))[-1]
        assert with_mlflow_inputs(monitoring_of({}), found, ["a"]) == monitoring_of({})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("- a", "MLmodel: must be a mapping"),
        ("a: [", "MLmodel: while parsing"),
        (changed(metadata=[1]), "MLmodel: metadata: must be a mapping"),
        (changed(signature={"inputs": "[{"}), "MLmodel: signature.inputs: cannot be read: JSONDecodeError"),
        (changed(signature={"inputs": '["a"]'}), "MLmodel: signature.inputs: cannot be read: AttributeError"),
        (changed(signature=inputs({"name": "a"})), "MLmodel: signature.inputs: cannot be read: KeyError: 'type'"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_member(tmp_path: Path, document: str, words: str) -> None:
    with pytest.raises(MlflowError, match="MLmodel") as raised:
        read_mlflow_model(write_mlflow_model(tmp_path, document))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_no_model_and_a_uri_without_mlflow_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file.csv").touch()
    for path in (tmp_path, tmp_path / "absent", tmp_path / "file.csv"):
        with pytest.raises(MlflowError, match="has no MLmodel file: give the folder of a logged model"):
            find_mlflow_model(str(path))
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    for uri in ("models:/churn/3", "runs:/1/model", "s3://bucket/model"):
        with pytest.raises(CommandError, match=f"{uri} needs MLflow, but mlflow is not installed: pip install mlflow"):
            find_mlflow_model(uri)
    (tmp_path / "MLmodel").write_text(changed(signature=None))
    (tmp_path / "input_example.json").write_text("[1]")
    with pytest.raises(MlflowError, match="the input example cannot be read"):
        find_mlflow_model(str(tmp_path))


def test_features_are_the_inputs_and_what_the_configuration_says_wins(tmp_path: Path) -> None:
    model = read_mlflow_model(write_mlflow_model(tmp_path))
    table = pd.DataFrame({
        "tenure": [1.0, 2.5] * 20, "plan": ["01067", "01069"] * 20, "region": [1, 2] * 20, "row": range(40),
        "prediction": [0, 1] * 20, "target": [0, 1] * 20,
    })  # fmt: skip
    file = with_mlflow_inputs(monitoring_of({}), model, list(table.columns))
    assert file.columns.features == ("tenure", "plan", "region")
    assert profile_of("churn", "3", table, file).features[1].categories == ("01067", "01069")
    own = monitoring_of({"columns": {"numeric": ["plan"], "ignore": ["region"], "redact": ["tenure"]}})
    columns = with_mlflow_inputs(own, model, [*table.columns, "member"]).columns
    assert (columns.features, columns.numeric, columns.categorical) == (("plan", "member"), ("plan",), ("member",))
    listed = monitoring_of({"columns": {"features": ["row"]}})
    assert with_mlflow_inputs(listed, model, list(table.columns)) == listed
    with pytest.raises(TableError, match=r"no column for the model's input 'plan' \(string\); did you mean plann\?"):
        with_mlflow_inputs(monitoring_of({}), model, ["tenure", "plann", "region"])
    assert json.loads(EXAMPLE)["columns"][1] == "plan"
