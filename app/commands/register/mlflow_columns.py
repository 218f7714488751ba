"""Files of a registration with the features of an MLflow model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from app.commands.register.given import GivenFiles, table_of
from app.registration.complete import complete
from app.registration.mlflow_model import MlflowModel, with_mlflow_inputs
from app.registration.setup import is_setup

if TYPE_CHECKING:
    from app.settings.settings import Settings


def with_mlflow(settings: Settings, model: str, version: str, given: GivenFiles, logged: MlflowModel) -> GivenFiles:
    """Return the files with the model's inputs as features, in the configuration that is sent too.

    Prints the inputs that are not monitored. Raises TableError where the reference lacks an input, HistoryError.
    """
    table = table_of(settings, model, version, given)
    given = given._replace(table=table)
    columns = [str(name) for name in table.frame.columns]
    file = with_mlflow_inputs(given.file, logged, columns)
    for note in logged.notes(columns):
        print(note, file=sys.stderr)
    if file == given.file:
        return given
    raw: dict[str, Any] = {} if given.config is None else msgspec.json.decode(given.config[1])
    if is_setup(raw):
        raw = complete(file)
    own = {name: getattr(file.columns, name) for name in ("features", "categorical", "numeric")}
    raw["columns"] = {**raw.get("columns", {}), **own}
    return given._replace(file=file, config=("monitoring.json", msgspec.json.encode(raw)))
