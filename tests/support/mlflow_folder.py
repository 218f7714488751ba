"""A folder of a logged model, as MLflow 3 writes it."""

from __future__ import annotations

from pathlib import Path

MLMODEL = """\
artifact_path: mlflow-artifacts:/0/models/m-73e73794e1e745b8b286f9c5d7dde882/artifacts
flavors:
  python_function:
    env: {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    model_path: model.pkl
    python_version: 3.11.7
is_signature_from_type_hint: false
mlflow_version: 3.17.2
model_id: m-73e73794e1e745b8b286f9c5d7dde882
model_uuid: m-73e73794e1e745b8b286f9c5d7dde882
run_id: ef1a45cedb144621a499aac25d9400bf
saved_input_example_info:
  artifact_path: input_example.json
  pandas_orient: split
  serving_input_path: serving_input_example.json
  type: dataframe
signature:
  inputs: '[{"type": "double", "name": "tenure", "required": true}, {"type": "string",
    "name": "plan", "required": true}, {"type": "long", "name": "region", "required": true},
    {"type": "boolean", "name": "member", "required": false}, {"type": "datetime", "name":
    "since", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
  params: null
utc_time_created: '2026-06-01 12:00:00.168450'
"""
EXAMPLE = (
    '{"columns": ["tenure", "plan", "region", "member", "since"], '
    '"data": [[1.5, "01067", 1, true, "2026-01-01T00:00:00"], [2.0, "01069", 2, false, "2026-01-02T00:00:00"]]}'
)


def write_mlflow_model(folder: Path, document: str = MLMODEL, name: str | None = "churn") -> Path:
    """Write the files that describe a model, and those of the registry where it has a `name`. Return the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(document)
    (folder / "input_example.json").write_text(EXAMPLE)
    meta = folder / "registered_model_meta"
    meta.unlink(missing_ok=True)
    if name is not None:
        meta.write_text(f"model_name: {name}\nmodel_version: '3'\n")
    return folder
