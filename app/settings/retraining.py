"""Settings of retraining: receivers of signals to retrain, and their least interval."""

from __future__ import annotations

import json
import shlex
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode


class RetrainingSettings(BaseSettings):
    """Settings of the retraining command, the webhook and the debounce."""

    retraining_command: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None, min_length=1, description="Program and arguments, started with the signal on its standard input."
    )
    retraining_environment: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description="Names of the worker's environment variables that the program gets beside PATH, HOME and the "
        "locale, with commas between.",
    )
    retraining_webhook: SecretStr | None = Field(None, description="Address that the signal is posted to.")
    retraining_timeout_seconds: float = Field(
        3600.0, gt=0, le=7 * 86_400, description="How long the program may take before it is ended."
    )
    retraining_debounce_seconds: float = Field(
        86_400.0, ge=0, le=30 * 86_400, description="The least time between two signals of one model version."
    )

    @field_validator("retraining_command", mode="before")
    @classmethod
    def _program(cls, value: object) -> object:
        """Return the program and arguments from a list, a JSON list, or a line split as by a shell; no shell is
        started.
        """
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            return json.loads(value)
        return shlex.split(value)

    @field_validator("retraining_environment", mode="before")
    @classmethod
    def _names_of_variables(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("retraining_webhook")
    @classmethod
    def _leads_somewhere(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("must start with https:// or http://")
        return value
