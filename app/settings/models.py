"""Settings of the models that the API serves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode


class ModelSettings(BaseSettings):
    """Models that POST /predict serves, with their threads, processes and queues."""

    model_path: Annotated[Path | tuple[Path, ...] | None, NoDecode] = Field(
        None,
        description="Folder of the model that POST /predict serves; of several, with commas between, "
        "POST /predict/{model} serves each, and POST /predict the first.",
    )
    model_root: Path | None = Field(
        None,
        description="Folder whose folders POST /models/{model}/serve may name. Unset: it loads the model's own again.",
    )
    predict_threads: int | None = Field(
        None, ge=1, le=1000, description="Threads of each served model. Unset: 4 more than there are processors."
    )
    predict_processes: int = Field(
        0, ge=0, le=64,
        description="Processes of each served model, each with the whole model and one prediction at a time, which are "
        "ended and started again where the model hangs or crashes. 0: it predicts in threads of the API.",
    )  # fmt: skip
    predict_queue: int = Field(
        1000, ge=0, le=100_000, description="Requests that may wait for a thread of a model; beyond, 503."
    )

    @property
    def model_paths(self) -> tuple[Path, ...]:
        """Return the folders of all served models, in their order."""
        if self.model_path is None:
            return ()
        return (self.model_path,) if isinstance(self.model_path, Path) else self.model_path

    @property
    def threads_of_a_model(self) -> int:
        """Return the number of predictions that one model makes concurrently."""
        return self.predict_threads or min(32, (os.cpu_count() or 1) + 4)

    @field_validator("model_path", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        given = list(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value
        if isinstance(given, (list, tuple)):
            return given[0] if len(given) == 1 else tuple(given) or None
        return given

    @field_validator("model_path")
    @classmethod
    def _homes(cls, value: Path | tuple[Path, ...] | None) -> Path | tuple[Path, ...] | None:
        if value is None or isinstance(value, Path):
            return None if value is None else value.expanduser()
        return tuple(path.expanduser() for path in value)

    @field_validator("model_root")
    @classmethod
    def _home_of_models(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()
