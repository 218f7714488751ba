"""Settings of Driftline from flags, the environment (DRIFTLINE_…) or driftline.toml: the first source with a value
wins.
"""

from __future__ import annotations

import json
import os
import platform
import re
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from platformdirs import user_state_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app.core.config.routes import Inhibit, Maintenance, Route
from app.settings.channels import ChannelSettings
from app.settings.event_sources import SourceSettings
from app.settings.history import HistorySettings
from app.settings.http import PREFIX, HttpSettings
from app.settings.kafka import KafkaSettings
from app.settings.models import ModelSettings
from app.settings.problems import problem_line
from app.settings.retraining import RetrainingSettings
from app.settings.rules import RuleSettings
from app.settings.sources import CONFIG_FILE, ENV_PREFIX, RENAMED, ConfigFile, Environment
from app.settings.spool import SpoolSettings
from app.settings.telemetry import TelemetrySettings

LEGAL_TOPIC = re.compile(r"[A-Za-z0-9._-]*")
SERVER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:,\[\]]+):(?P<port>\d{1,5})")
OLD_VARIABLES = frozenset(f"{ENV_PREFIX}{name.upper()}" for name in RENAMED)
LONGEST_PREFIX = 180
"""Most characters of a prefix: a topic's full name may have 249, and Faust adds characters for tables."""

Port = Annotated[int, Field(ge=1, le=65_535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Wait = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Names = Annotated[tuple[str, ...] | None, NoDecode]
"""List of names; in the environment separated by commas."""


class SettingsError(ValueError):
    """Error in a setting: one line that names the setting."""


class Settings(
    ChannelSettings, HttpSettings, HistorySettings, KafkaSettings, ModelSettings, RetrainingSettings, RuleSettings,
    SourceSettings, SpoolSettings, TelemetrySettings,
):  # fmt: skip
    """Settings of all areas; frozen. Durations are in seconds."""

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
    drain_to: str | None = Field(
        None,
        max_length=LONGEST_PREFIX,
        description="Prefix that takes this one's place: the worker joins what is left here, for the windows there.",
    )
    group: str = Field("driftline", min_length=1, max_length=200, description="Consumer group of the workers.")
    state_dir: Path = Field(
        default_factory=lambda: user_state_path("driftline"),
        description="Where workers and a started broker keep their state.",
    )
    api_host: str = Field("127.0.0.1", min_length=1, description="Address the API listens on.")
    api_port: Port = Field(8700, description="Port the API listens on.")
    alerts_dir: Path = Field(Path("alerts"), description="Where the file channel writes.")
    group_by: Names = Field(None, description="Labels that part groups of alerts, beside model and version.")
    group_wait_seconds: Wait = Field(5.0, description="How long a group's first alerts wait for others.")
    group_interval_seconds: Wait = Field(60.0, description="The least time between two messages of one group.")
    repeat_seconds: Wait = Field(14_400.0, description="After how long what still fires is sent again.")
    delivery_seconds: Wait = Field(3600.0, description="How long a channel is tried before a message is given up.")
    flapping_per_hour: int = Field(
        5, ge=0, description="An alert that fires more often in an hour is sent once, as flapping; 0: every time."
    )
    digest_above: int = Field(
        10, ge=0, description="More groups than this at once are one message a channel and route; 0: never."
    )
    disabled_channels: Names = Field(None, description="Channels to which nothing is sent, whatever routes say.")
    routes: tuple[Route, ...] | None = Field(None, description="Which alerts go to which channels.")
    inhibit: tuple[Inhibit, ...] | None = Field(None, description="Which alerts explain which others. Unset: traffic.")
    maintenance: tuple[Maintenance, ...] | None = Field(None, description="Hours of the week when nothing is sent.")
    feedback_prefix: str | None = Field(
        None,
        max_length=LONGEST_PREFIX,
        description="Prefix of the topic that the API sends feedback to, while that one is drained. Unset: `prefix`.",
    )
    checkpoint_seconds: Seconds = Field(0.4, description="How often join publishes its panes.")
    tick_seconds: Seconds = Field(0.25, description="How often an agent is woken when nothing arrives.")
    reissue_seconds: Seconds = Field(
        2.0, description="How long late truth is gathered before reports are issued again."
    )
    session_seconds: Seconds = Field(10.0, description="Silence after which a worker's partitions go to others.")
    monitor_seconds: Seconds = Field(15.0, description="How often a worker reports its lag and its dead letters.")
    worker_silent_seconds: Seconds | None = Field(
        None, description="Without a word of a worker for so long the API is not ready. Unset: 4 `monitor_seconds`."
    )
    stall_seconds: Seconds = Field(
        60.0, description="After so long without progress on a partition that has more, a worker ends itself."
    )
    dead_letter_share: float = Field(
        0.5, gt=0, le=1, description="Share of a model version's newest records that were set aside: more is critical."
    )
    dead_letter_window: int = Field(
        1000, ge=1, le=100_000, description="Over how many records of a partition such shares are taken."
    )
    dead_letter_stop: bool = Field(
        False, description="Stop the worker where more than that share of a partition cannot be read."
    )
    accept_dead_letters: bool = Field(
        False, description="With dead_letter_stop: let go to the dead letters what is older than the worker's start."
    )
    unregistered_share: float = Field(
        0.01, gt=0, le=1, description="Share of predictions of models that are not registered: more is an alert."
    )
    unmatched_share: float = Field(
        0.5, gt=0, le=1, description="Share of feedback without a prediction: more is an alert."
    )
    pairing_seconds: float = Field(
        60.0, gt=0, le=3600, description="How long KServe's request and response wait for each other."
    )
    pairing_mib: int = Field(
        64, ge=1, le=1 << 20, description="MiB of them that wait in one worker; beyond, the oldest are set aside."
    )
    max_batch_records: int = Field(
        5000, ge=1, le=100_000,
        description="Most records in one run of an agent; with many models, the join takes several that wait as one.",
    )  # fmt: skip
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="What is logged.")

    @property
    def silent_seconds(self) -> float:
        """Return the seconds without a report after which a worker is considered silent."""
        return 4 * self.monitor_seconds if self.worker_silent_seconds is None else self.worker_silent_seconds

    @property
    def page(self) -> str:
        """Return the address of the API: `public_url`, else its listening address (by this machine's name, if
        everywhere).
        """
        if self.public_url is not None:
            return self.public_url
        host = platform.node() if _everywhere(self.api_host) else self.api_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.api_port}{self.root}"

    @property
    def root(self) -> str:
        """Return the prefix under which people reach the API: `root_path`, else the path of `public_url`; empty for
        none.
        """
        if self.root_path is not None:
            return self.root_path
        path = urlsplit(self.public_url or "").path
        return path if PREFIX.fullmatch(path) else ""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, Environment(settings_cls), ConfigFile(settings_cls)

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

    @field_validator("prefix", "group", "drain_to", "feedback_prefix")
    @classmethod
    def _legal(cls, value: str | None) -> str | None:
        if value is not None and LEGAL_TOPIC.fullmatch(value) is None:
            raise ValueError("may have letters, digits, '.', '_' and '-' only")
        return value

    @field_validator("group_by", "disabled_channels", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("state_dir", "alerts_dir")
    @classmethod
    def _home(cls, value: Path) -> Path:
        return value.expanduser()


def _everywhere(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def load_settings(**overrides: object) -> Settings:
    """Return the settings in force: `overrides` (flags) first, then the environment, then driftline.toml.

    Raises SettingsError with one line that names the setting.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        raise SettingsError("; ".join(problem_line(dict(problem), Settings) for problem in error.errors())) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{CONFIG_FILE}: {error}") from None


def text_of(value: object) -> str:
    """Return a setting's value, as dumped in JSON mode, in the form of an environment variable."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)


def environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with every setting in force, for a child process.

    Secrets are written out only here.
    """
    values = settings.model_dump(mode="json", exclude_none=True)
    given = {name: getattr(settings, name) for name in values}
    values |= {name: one.get_secret_value() for name, one in given.items() if isinstance(one, SecretStr)}
    inherited = {name: value for name, value in os.environ.items() if name not in OLD_VARIABLES}
    return {**inherited, **{f"{ENV_PREFIX}{name.upper()}": text_of(value) for name, value in values.items()}}
