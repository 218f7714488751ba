"""monitoring.json with every key, and the value in force where none is given."""

from __future__ import annotations

from typing import Any

import msgspec

from app.registration.monitoring import KEYS, SECTIONS, MonitoringFile


def complete(file: MonitoringFile) -> dict[str, Any]:
    """Return a configuration as monitoring.json has it, with every key.

    `monitoring_of` reads the same from it, but for `rules`: every rule counts as said by the file.
    """
    found = {key: msgspec.to_builtins(getattr(file, key)) for key in KEYS if key not in SECTIONS}
    found |= msgspec.to_builtins(file.monitoring)
    return found if file.monitoring.reference else found | {"reference": file.reference}
