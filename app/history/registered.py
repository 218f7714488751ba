"""Conversion of a registration to a row of `default_truths`."""

from __future__ import annotations

import msgspec

from app.core.config.monitoring import Monitoring
from app.core.join.state import CompiledModel
from app.core.reference.profile import Profile
from app.core.values.reading import spelled
from app.history.rows import Row, number
from topics.events import ModelEvent

_monitoring = msgspec.json.Decoder(Monitoring)
_profile = msgspec.json.Decoder(Profile)


def default_truth_row(event: ModelEvent) -> Row | None:
    """Return a registration's default truth as a row; None where the registration cannot be read.

    Every global table of models logs a registration that cannot be read. A label is spelt as in the reference. Without
    a default truth, the columns are null.
    """
    try:
        monitoring = _monitoring.decode(event.monitoring)
        default = monitoring.performance.default_truth
        row: Row = {"model": event.model, "model_version": event.model_version, "registered_at": event.registered_at}
        if default is None:
            return {**row, "actual": None, "actual_value": None, "after_seconds": None, "pane_seconds": None}
        profile = _profile.decode(event.profile)
        code = CompiledModel(profile, monitoring.windows, default).default_truth
    except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
        return None
    return {
        **row,
        "actual": spelled(default.value) if code is None or not profile.labels else profile.labels[int(code)],
        "actual_value": number(default.value),
        "after_seconds": default.after,
        "pane_seconds": monitoring.windows.pane,
    }
