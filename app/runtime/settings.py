"""Every setting, from flags, the environment (DRIFTLINE_…) or driftline.toml: the first that has it wins."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, get_args

from platformdirs import user_state_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from app.runtime.channel_settings import ChannelSettings

CONFIG_FILE = "driftline.toml"
ENV_PREFIX = "DRIFTLINE_"

LEGAL_TOPIC = re.compile(r"[A-Za-z0-9._-]*")
SERVER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:,\[\]]+):(?P<port>\d{1,5})")
LONGEST_PREFIX = 180
"""A topic's whole name may have 249 characters; what Faust adds for tables needs some of them."""

Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SettingsError(ValueError):
    """A setting that cannot be used, in one line that names it."""


class Settings(ChannelSettings):
    """What can be set; frozen. Durations are in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        toml_file=CONFIG_FILE,
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
    )

    bootstrap_servers: str | None = Field(
        None, description="Kafka to use, host:port[,host:port]. Unset: find or start."
    )
    broker_port: Port | None = Field(None, description="Port of a broker that is started. Unset: a free one.")
    prefix: str = Field("driftline.", max_length=LONGEST_PREFIX, description="Prefix of the topics' names.")
    partitions: int = Field(4, ge=1, le=1000, description="Partitions of partitioned topics, fixed at creation.")
    replication: int = Field(1, ge=1, le=32_767, description="Replicas of new topics.")
    group: str = Field("driftline", min_length=1, max_length=200, description="Consumer group of the workers.")
    state_dir: Path = Field(
        default_factory=lambda: user_state_path("driftline"),
        description="Where workers and a started broker keep their state.",
    )
    api_host: str = Field("127.0.0.1", min_length=1, description="Address the API listens on.")
    api_port: Port = Field(8700, description="Port the API listens on.")
    alerts_dir: Path = Field(Path("alerts"), description="Where the file channel writes.")
    model_path: Path | None = Field(None, description="Folder of the model that POST /predict serves.")
    checkpoint_seconds: Seconds = Field(0.5, description="How often join publishes its panes.")
    tick_seconds: Seconds = Field(0.25, description="How often an agent is woken when nothing arrives.")
    reissue_seconds: Seconds = Field(
        2.0, description="How long late truth is gathered before reports are issued again."
    )
    session_seconds: Seconds = Field(10.0, description="Silence after which a worker's partitions go to others.")
    max_run: int = Field(2000, ge=1, le=100_000, description="Most records in one run of an agent.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="What is logged.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @field_validator("bootstrap_servers")
    @classmethod
    def _servers(cls, value: str | None) -> str | None:
        if value is None:
            return None
        servers = [server.strip() for server in value.split(",")]
        for server in servers:
            found = SERVER.fullmatch(server)
            if found is None or not 0 < int(found["port"]) <= 65_535:
                raise ValueError("must be host:port, or several of them with commas between")
        return ",".join(servers)

    @field_validator("prefix", "group")
    @classmethod
    def _legal(cls, value: str) -> str:
        if LEGAL_TOPIC.fullmatch(value) is None:
            raise ValueError("may have letters, digits, '.', '_' and '-' only")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("state_dir", "alerts_dir", "model_path")
    @classmethod
    def _home(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()


def load_settings(**overrides: object) -> Settings:
    """The settings in force: `overrides` (flags) first, then the environment, then driftline.toml.

    Raises SettingsError with one line that names the setting.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        raise SettingsError("; ".join(_line(dict(problem)) for problem in error.errors())) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{CONFIG_FILE}: {error}") from None


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment with every setting in force, for a child. Secrets are written out here alone."""
    values = {f"{ENV_PREFIX}{name.upper()}": getattr(settings, name) for name in Settings.model_fields}
    return {**os.environ, **{name: _variable(value) for name, value in values.items() if value is not None}}


def _variable(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _line(problem: dict[str, object]) -> str:
    where = problem["loc"]
    name = str(where[0]) if isinstance(where, tuple) and where else "settings"
    field = Settings.model_fields.get(name)
    if problem["type"] == "extra_forbidden":
        return f"{name}: there is no such setting; look for it in {CONFIG_FILE}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if field is not None and SecretStr in get_args(field.annotation):
        return f"{name}: {message}; it is {ENV_PREFIX}{name.upper()} or in {CONFIG_FILE}"
    return f"{name}: {message}, not {problem['input']!r}; it is a flag, {ENV_PREFIX}{name.upper()} or in {CONFIG_FILE}"
