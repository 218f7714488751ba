"""Facts about an MLflow model at a URI, for `driftline register --mlflow-model`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from app.commands.options import CommandError
from app.registration.mlflow_model import (
    MLMODEL,
    NAME_TAG,
    VERSION_TAG,
    MlflowModel,
    example_path,
    mlflow_model_of,
    read_mlflow_model,
)

REGISTERED_URI = re.compile(r"models:/+(?P<name>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))")
LATEST = "latest"


class _RegistryNames(NamedTuple):
    name: str | None = None
    version: str | None = None


def find_mlflow_model(uri: str) -> MlflowModel:
    """Return the facts about the model at a URI of MLflow, or in a local folder, for which no MLflow is needed.

    Raises CommandError where MLflow is not installed or has no such model, and MlflowError.
    """
    folder = _folder(uri)
    if folder is not None:
        return read_mlflow_model(folder)
    try:
        import mlflow
        from mlflow.exceptions import MlflowException
    except ModuleNotFoundError as error:
        raise CommandError(
            f"--mlflow-model: {uri} needs MLflow, but {error.name} is not installed: pip install mlflow (a local "
            f"folder with an {MLMODEL} file needs none)"
        ) from None
    try:
        return _fetched(mlflow, mlflow.MlflowClient(), uri)
    except (MlflowException, OSError) as error:
        raise CommandError(f"--mlflow-model: {uri}: {' '.join(str(error).split())}") from None


def _folder(uri: str) -> Path | None:
    """Return the local folder that is named, by its path, as file: URI, or by its MLmodel file; else None."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
    elif re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:", uri):
        return None
    else:
        path = Path(uri)
    return path.parent if path.name == MLMODEL and path.is_file() else path


def _fetched(mlflow: Any, client: Any, uri: str) -> MlflowModel:
    """Return the facts of MLflow's registry and tracking server; the model itself is not fetched."""
    names = _registry_names(client, uri)
    pinned = uri if names.version is None else f"models:/{names.name}/{names.version}"
    info = mlflow.models.get_model_info(pinned)
    if names.version is None:
        names = _of_run(client, info.run_id)
    tags = {**_tags(client, info, names), **(info.metadata or {})}
    document = {
        "signature": None if info.signature is None else {"inputs": _inputs_of(info.signature)},
        "saved_input_example_info": info.saved_input_example_info,
        "metadata": {name: tags[name] for name in (NAME_TAG, VERSION_TAG) if name in tags},
    }
    example = None if document["signature"] is not None else _example(mlflow, pinned, document)
    return mlflow_model_of(document, uri, names, example=example)


def _inputs_of(signature: Any) -> Any:
    return None if signature.inputs is None else signature.inputs.to_dict()


def _registry_names(client: Any, uri: str) -> _RegistryNames:
    """Return the registered name and the number of the version; an alias and `latest` may move meanwhile."""
    match = REGISTERED_URI.fullmatch(uri)
    if match is None:
        return _RegistryNames()
    name, version, alias = match.group("name", "version", "alias")
    if alias is not None:
        return _RegistryNames(name, str(client.get_model_version_by_alias(name, alias).version))
    if version.isdigit():
        return _RegistryNames(name, version)
    if version != LATEST:
        raise CommandError(f"--mlflow-model: {uri}: give the version's number or an alias (models:/{name}@ALIAS)")
    versions = [int(one.version) for one in client.search_model_versions(f"name='{name}'")]
    if not versions:
        raise CommandError(f"--mlflow-model: {uri}: no model of this name is registered in MLflow")
    return _RegistryNames(name, str(max(versions)))


def _of_run(client: Any, run_id: str | None) -> _RegistryNames:
    """Return the name and version under which a run's model is registered, where there is exactly one."""
    found = [] if not run_id else client.search_model_versions(f"run_id='{run_id}'")
    return _RegistryNames(found[0].name, str(found[0].version)) if len(found) == 1 else _RegistryNames()


def _tags(client: Any, info: Any, names: _RegistryNames) -> Mapping[str, str]:
    """Return the tags of the run, of the logged model and of the registered version; the later ones win."""
    tags: dict[str, str] = {}
    if info.run_id:
        tags |= client.get_run(info.run_id).data.tags
    model_id = getattr(info, "model_id", None)  # since MLflow 3
    if model_id:
        tags |= client.get_logged_model(model_id).tags or {}
    if names.name is not None and names.version is not None:
        tags |= client.get_model_version(names.name, names.version).tags or {}
    return tags


def _example(mlflow: Any, uri: str, document: Mapping[str, Any]) -> bytes | None:
    """Return the content of the input example, None where there is none."""
    if document["saved_input_example_info"] is None:
        return None
    with contextlib.suppress(OSError, mlflow.exceptions.MlflowException):
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=f"{uri}/{example_path(document)}")).read_bytes()
    return None
