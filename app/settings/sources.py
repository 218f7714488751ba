"""Sources of settings: environment variables and driftline.toml, and the old names of settings in both."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from app.core.config.close_names import did_you_mean

log = logging.getLogger(__name__)

CONFIG_FILE = "driftline.toml"
ENV_PREFIX = "DRIFTLINE_"

RENAMED = {
    "allow_open_api": "allow_unauthenticated_api",
    "attempt_seconds": "delivery_attempt_seconds",
    "max_run": "max_batch_records",
}
"""New name of each setting by its old one. Old names are accepted, with a line in the log."""

NO_SETTINGS = frozenset({"API_KEY"})
"""Variables of the client, which runs in the same environment."""
SERVICE_LINK = re.compile(
    r"\w+_(SERVICE_(HOST|PORT(_\w+)?)=.*|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=.*|=\w+://.*))"
)
"""Endings of the variables that Kubernetes adds to a container's environment for each Service of its namespace."""

_reported: set[str] = set()


class Environment(EnvSettingsSource):
    """Environment variables. An old name counts where the new one is not set."""

    def __call__(self) -> dict[str, Any]:
        """Return the settings that are set in the environment, by their new names."""
        found = super().__call__()
        old = {name: os.environ.get(f"{ENV_PREFIX}{name.upper()}") for name in RENAMED}
        report_unknown(os.environ, [*self.settings_cls.model_fields, *RENAMED])
        return with_new_names({**{name: value for name, value in old.items() if value}, **found}, ENV_PREFIX)


class ConfigFile(TomlConfigSettingsSource):
    """The settings of driftline.toml, by their new names."""

    def __call__(self) -> dict[str, Any]:
        """Return the settings of the file, by their new names."""
        return with_new_names(super().__call__(), "")


def report_unknown(environment: Mapping[str, str], settings: Iterable[str]) -> None:
    """Log a line for each variable that has our prefix and is no setting, once a process; never its value.

    Such a variable is no error: other software may have set it. What Kubernetes sets for a Service is left out.
    """
    known = {name.upper() for name in settings} | NO_SETTINGS
    for variable, value in environment.items():
        name = variable.upper().removeprefix(ENV_PREFIX)  # a setting counts in lower case, too
        if name in {variable.upper(), *known} or variable in _reported or not value:
            continue
        if SERVICE_LINK.fullmatch(f"{variable}={value}") is None:
            _reported.add(variable)
            hint = did_you_mean(name, known, ENV_PREFIX, before="; ")
            log.warning("%s is no setting, and has no effect%s", variable, hint)


def with_new_names(found: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return settings by their new names; report each old name once a process. The new name counts before the old."""
    for old in [name for name in RENAMED if name in found]:
        value, new = found.pop(old), RENAMED[old]
        found.setdefault(new, value)
        before, after = (f"{prefix}{name.upper() if prefix else name}" for name in (old, new))
        if before not in _reported:
            _reported.add(before)
            where = "" if prefix else f" in {CONFIG_FILE}"
            log.warning("%s%s is deprecated: call it %s", before, where, after)
    return found
