"""Settings of POST /predict for times when Kafka is unavailable."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings


class SpoolSettings(BaseSettings):
    """Choice between refusing predictions that Kafka does not have yet and spooling them to disk."""

    when_unrecorded: Literal["refuse", "spool"] = Field(
        "refuse",
        description="What POST /predict does while Kafka is away: `refuse` (503), or `spool`: keep the prediction on "
        "the disk, return it, and send it later.",
    )
    spool_mib: int = Field(
        256, ge=1, le=1 << 20, description="MiB of predictions that may wait on the disk; beyond, 503."
    )
    spool_dir: Path | None = Field(None, description="Where they wait. Unset: `spool` in state_dir.")

    @field_validator("spool_dir")
    @classmethod
    def _home_of_spool(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()
