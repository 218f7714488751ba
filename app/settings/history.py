"""Settings of the history: location, retention and exports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

ExportFormat = Literal["jsonl", "parquet"]
SECRETS = ("password", "sslpassword")
"""Parameters of a PostgreSQL URL that are secrets, and refused in the URL."""


class HistorySettings(BaseSettings):
    """Settings of the recorder and of readers of the history."""

    record_history: bool = Field(True, description="Whether `driftline up` runs a recorder.")
    history_url: str | None = Field(
        None,
        repr=False,  # a refused URL may have a password in it
        description="sqlite:///FILE or postgresql://USER@HOST/DATABASE. Unset: history.db in state_dir.",
    )
    history_password: SecretStr | None = Field(None, description="Password for PostgreSQL.")
    history_password_file: Path | None = Field(None, description="A file with it.")
    history_days: float = Field(90.0, gt=0, le=36_500, description="For how many days the history keeps what it took.")
    history_megabytes: int = Field(10_000, ge=1, description="How large the history may get; the oldest goes first.")
    history_query_seconds: float = Field(
        10.0, gt=0, le=3600, description="How long the API lets the history work on one question."
    )
    export_dir: Path | None = Field(None, description="Where each day's predictions are written to as files.")
    export_formats: Annotated[tuple[ExportFormat, ...] | None, NoDecode] = Field(
        None, description="jsonl, parquet or both, with a comma between. Unset: jsonl."
    )
    export_days: float = Field(
        365.0,
        gt=0,
        le=36_500,
        description="For how many days a file stays in export_dir, from when it was first written.",
    )
    export_seconds: float = Field(3600.0, gt=0, le=86_400, description="How often days that changed are written anew.")

    @field_validator("history_url")
    @classmethod
    def _database(cls, value: str | None) -> str | None:
        return value if value is None else check_history_url(value)

    @field_validator("export_formats", mode="before")
    @classmethod
    def _formats(cls, value: object) -> object:
        names = [one.strip() for one in value.split(",")] if isinstance(value, str) else value
        if not isinstance(names, list | tuple):
            return names
        known = get_args(ExportFormat)
        if not names or any(name not in known for name in names):
            raise ValueError(f"must be {' or '.join(known)}, or both with a comma between")
        return tuple(dict.fromkeys(names))

    @field_validator("history_password_file", "export_dir")
    @classmethod
    def _home_of_history(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()


def check_history_url(url: str) -> str:
    """Return the same URL. Raises ValueError whose text does not contain the URL."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be sqlite:///FILE or postgresql://USER@HOST/DATABASE") from None
    if parts.password is not None or any(name in parse_qs(parts.query, keep_blank_values=True) for name in SECRETS):
        raise ValueError("must have no password in it: set history_password or history_password_file")
    if parts.scheme == "sqlite" and not parts.netloc and parts.path.strip("/") not in ("", ":memory:"):
        return url
    if parts.scheme in ("postgresql", "postgres") and parts.path.strip("/") and (host or "host=" in parts.query):
        return url
    raise ValueError("must be sqlite:///FILE or postgresql://USER@HOST/DATABASE")
