"""The newest signal of each model version, read from the topic `retraining`: what the debounce goes by."""

from __future__ import annotations

from app.kafka.global_table import GlobalTable
from app.settings.settings import Settings
from topics.events import RetrainingEvent
from topics.registry import RETRAINING


class SignalsTable(GlobalTable[tuple[str, str], RetrainingEvent]):
    """What was asked for last, whoever asked: workers and checks read the same log."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, RETRAINING, RetrainingEvent, key=lambda event: (event.model, event.model_version))

    def debounced(self, signal: RetrainingEvent, seconds: float) -> bool:
        """Whether a signal comes too soon after the last of its model version, or is the last, once more."""
        last = self._rows.get((signal.model, signal.model_version))
        if last is None:
            return False
        return last.signal_id == signal.signal_id or (signal.requested_at - last.requested_at).total_seconds() < seconds
