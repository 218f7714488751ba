"""monitoring.json with every key, and the value in force where none is given."""

from __future__ import annotations

from typing import Any

import msgspec

from app.registration.monitoring import KEYS, SECTIONS, MonitoringFile


def complete(file: MonitoringFile) -> dict[str, Any]:
    """Return a configuration as monitoring.json has it, with every key.

    `monitoring_of` reads the same from it, but for `rules`: every rule counts as said by the file.
    """
    monitoring = msgspec.to_builtins(file.monitoring)
    return {key: monitoring[key] if key in SECTIONS else msgspec.to_builtins(getattr(file, key)) for key in KEYS}
