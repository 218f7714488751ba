"""MLflow models: the features and their types in an `MLmodel` file, for the registration of the model."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from app.core.config.close_names import did_you_mean
from app.core.reference.profile import Kind
from app.registration.monitoring import MonitoringFile
from app.tables import TableError

MLMODEL = "MLmodel"
REGISTERED = "registered_model_meta"
"""File that MLflow writes next to MLmodel where a registered model is downloaded: its name and version."""
NAME_TAG, VERSION_TAG = "driftline.model", "driftline.version"
"""Tags of a run or of a logged model, and members of a model's metadata, that name the model and its version."""
KINDS: Mapping[str, Kind | None] = {
    "string": "categorical", "boolean": "categorical", "float": "numeric", "double": "numeric",
    "integer": None, "long": None,
}  # fmt: skip
"""Kind of a feature by MLflow's type; None where the values decide: codes of categories are whole numbers too."""


class MlflowError(ValueError):
    """Raised for an MLflow model that cannot be used. The message says what to do."""


@dataclass(frozen=True, slots=True)
class MlflowInput:
    """Column that a model takes. `kind` None: the values decide."""

    name: str
    type: str
    kind: Kind | None
    required: bool = True


@dataclass(frozen=True, slots=True)
class MlflowModel:
    """Facts about a logged model. `name` and `version` None: MLflow has none.

    `skipped`: inputs that are no features, for they have no name, or no numbers and categories.
    """

    name: str | None
    version: str | None
    inputs: Sequence[MlflowInput]
    skipped: Sequence[str] = ()

    def notes(self, columns: Collection[str]) -> Iterator[str]:
        """Yield the inputs that are not monitored, a line for each reason. `columns`: those of the reference."""
        absent = [one.name for one in self.inputs if not one.required and one.name not in columns]
        if absent:
            yield f"MLflow: not monitored, since the reference does not have them: {', '.join(absent)}"
        if self.skipped:
            yield f"MLflow: not monitored, since they are no numbers or categories: {', '.join(self.skipped)}"
        if not self.inputs:
            yield "MLflow: the model has no signature with names; the columns of the reference are the features"


def read_mlflow_model(folder: Path) -> MlflowModel:
    """Return the facts in a folder with an MLmodel file. Raises MlflowError that names the file and its member."""
    path = folder / MLMODEL
    document = _yaml_of(path)
    registered = _yaml_of(folder / REGISTERED) if (folder / REGISTERED).is_file() else {}
    example = folder / example_path(document)
    content = example.read_bytes() if example.is_file() else None
    names = _text(registered.get("model_name")), _text(registered.get("model_version"))
    return mlflow_model_of(document, str(path), names, example=content)


def example_path(document: Mapping[str, Any]) -> str:
    """Return the path of the input example beside the MLmodel file."""
    info = document.get("saved_input_example_info")
    return str(info.get("artifact_path", "input_example.json")) if isinstance(info, dict) else "input_example.json"


def mlflow_model_of(
    document: Mapping[str, Any], where: str, names: tuple[str | None, str | None], *, example: bytes | None
) -> MlflowModel:
    """Return the facts in the content of an MLmodel file.

    `names`: name and version in the model registry, which those in the model's metadata replace. `example`: content of
    the input example, which is used where there is no signature. Raises MlflowError that starts with `where`.
    """
    metadata = document.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise MlflowError(f"{where}: metadata: must be a mapping")
    inputs, skipped = _inputs(document, where)
    if not inputs and not skipped and example is not None:
        inputs = _inputs_of_example(document, example, where)
    name, version = names
    return MlflowModel(
        _text(metadata.get(NAME_TAG)) or name, _text(metadata.get(VERSION_TAG)) or version, inputs, skipped
    )


def with_mlflow_inputs(file: MonitoringFile, model: MlflowModel, columns: Collection[str]) -> MonitoringFile:
    """Return a configuration whose features are the inputs of a model, with the kinds that their types have.

    `columns`: those of the reference. Features and kinds that the configuration names itself are kept. Raises
    TableError that names the inputs that the reference does not have.
    """
    own = file.columns
    if not model.inputs or own.features is not None:
        return file
    left_out = {*own.ignore, *own.redact}
    absent = [one for one in model.inputs if one.name not in columns and one.name not in left_out and one.required]
    if absent:
        named = ", ".join(f"{one.name!r} ({one.type})" for one in absent)
        hint = did_you_mean(absent[0].name, columns, before="; ")
        raise TableError(f"the reference has no column for the model's input {named}{hint}")
    inputs = [one for one in model.inputs if one.name in columns and one.name not in left_out]
    given = {*own.categorical, *own.numeric}
    kinds = {
        kind: (*getattr(own, kind), *(one.name for one in inputs if one.kind == kind and one.name not in given))
        for kind in ("categorical", "numeric")
    }
    features = tuple(one.name for one in inputs)
    return msgspec.structs.replace(file, columns=msgspec.structs.replace(own, features=features, **kinds))


def _yaml_of(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise MlflowError(f"{path.parent}: has no {MLMODEL} file: give the folder of a logged model") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MlflowError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise MlflowError(f"{path}: must be a mapping")
    return found


def _inputs(document: Mapping[str, Any], where: str) -> tuple[list[MlflowInput], list[str]]:
    """Return the inputs of the signature, and the names of those that are no single values."""
    signature = document.get("signature") or {}
    given = signature.get("inputs") if isinstance(signature, dict) else None
    try:
        listed = json.loads(given) if isinstance(given, str) else given or []
        columns = [(_text(one.get("name")), str(one["type"]), _is_required(one)) for one in listed]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MlflowError(f"{where}: signature.inputs: cannot be read: {type(error).__name__}: {error}") from None
    inputs: list[MlflowInput] = []
    skipped: list[str] = []
    for name, kind, required in columns:
        if name is not None and kind in KINDS:
            inputs.append(MlflowInput(unicodedata.normalize("NFC", name), kind, KINDS[kind], required))
        else:
            skipped.append(f"{name or 'an input without a name'} ({kind})")
    return inputs, skipped


def _is_required(column: Mapping[str, Any]) -> bool:
    """Return whether an input is required: by `required`, before MLflow 2.7 by `optional`; also as a text."""
    if "required" in column:
        return str(column["required"]).lower() != "false"
    return str(column.get("optional", False)).lower() != "true"


def _inputs_of_example(document: Mapping[str, Any], example: bytes, where: str) -> list[MlflowInput]:
    """Return the inputs in an input example, where it is a table with names of columns; else none."""
    info = document.get("saved_input_example_info")
    if not isinstance(info, dict) or info.get("type") != "dataframe" or info.get("pandas_orient") != "split":
        return []
    try:
        found = json.loads(example)
        columns, rows = found["columns"], found["data"]
        cells = [[row[at] for row in rows] for at in range(len(columns))]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise MlflowError(f"{where}: the input example cannot be read: {type(error).__name__}: {error}") from None
    return [
        MlflowInput(unicodedata.normalize("NFC", str(name)), "in the input example", _kind_of(values))
        for name, values in zip(columns, cells, strict=True)
    ]


def _kind_of(values: Sequence[object]) -> Kind | None:
    """Return categorical for texts and truth values, else None: numbers may be codes."""
    return "categorical" if any(isinstance(value, str | bool) for value in values) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
