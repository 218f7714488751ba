"""Profile of a reference in memory, in the parts of the form that registers it over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec

from app.registration.monitoring import MonitoringFile
from app.registration.profiling import Reference, read_reference
from app.registration.setup import decode_monitoring
from app.settings.secrets import hash_key_of
from app.settings.settings import load_settings
from app.tables.frames import table_of

Parts = dict[str, tuple[str, bytes]]


def profile_parts(
    reference: object, model: str, version: str, config: tuple[str, bytes] | None
) -> tuple[Parts, dict[str, Any]]:
    """Return the parts `profile` and `hidden` of the form, and the decisions made while the reference was read.

    `config`: monitoring.json and its name. Raises TableError, MonitoringError, SettingsError and OSError.
    """
    file = MonitoringFile() if config is None else decode_monitoring(config[1], config[0])
    frame = table_of(reference, "reference")
    found = read_reference(model, version, frame, file, file.baseline, hash_key_of(load_settings()))
    return parts_of(found), decisions_of(found)


def parts_of(found: Reference) -> Parts:
    """Return the parts of the form that have a profile, and what was hidden before it was made."""
    parts = {"profile": ("profile.json", msgspec.json.encode(found.profile))}
    if found.hidden is not None:
        parts["hidden"] = ("hidden.json", msgspec.json.encode(found.hidden))
    return parts


def decisions_of(found: Reference) -> dict[str, Any]:
    """Return the decisions made while a reference was read, by their names in the result of a registration."""
    decided = {name: decision.reason for name, decision in found.roles.decisions.items()}
    return {"decided": decided, "left_out": dict(found.roles.left_out), "notes": list(found.notes)}
