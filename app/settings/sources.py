"""Sources of settings: environment variables and driftline.toml, and the old names of settings in both."""

from __future__ import annotations

import logging
import os
from typing import Any

from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

log = logging.getLogger(__name__)

CONFIG_FILE = "driftline.toml"
ENV_PREFIX = "DRIFTLINE_"

RENAMED = {
    "allow_open_api": "allow_unauthenticated_api",
    "attempt_seconds": "delivery_attempt_seconds",
    "max_run": "max_batch_records",
}
"""New name of each setting by its old one. Old names are accepted, with a line in the log."""

_reported: set[str] = set()


class Environment(EnvSettingsSource):
    """Environment variables. An old name counts where the new one is not set."""

    def __call__(self) -> dict[str, Any]:
        """Return the settings that are set in the environment, by their new names."""
        found = super().__call__()
        old = {name: os.environ.get(f"{ENV_PREFIX}{name.upper()}") for name in RENAMED}
        return with_new_names({**{name: value for name, value in old.items() if value}, **found}, ENV_PREFIX)


class ConfigFile(TomlConfigSettingsSource):
    """The settings of driftline.toml, by their new names."""

    def __call__(self) -> dict[str, Any]:
        """Return the settings of the file, by their new names."""
        return with_new_names(super().__call__(), "")


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
