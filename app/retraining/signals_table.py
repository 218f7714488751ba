"""Global table of the newest retraining signal of each model version, on which the debounce is based."""

from __future__ import annotations

from app.kafka.global_table import GlobalTable
from app.settings.settings import Settings
from topics.events import RetrainingEvent
from topics.registry import RETRAINING


class SignalsTable(GlobalTable[tuple[str, str], RetrainingEvent]):
    """Last signals by model version, from any source: workers and checks read the same topic."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, RETRAINING, RetrainingEvent, key=lambda event: (event.model, event.model_version))

    def debounced(self, signal: RetrainingEvent, seconds: float) -> bool:
        """Return whether a signal is debounced.

        A signal is debounced if it comes too soon after the last one of its model version, or is the same signal again.
        """
        last = self._rows.get((signal.model, signal.model_version))
        if last is None:
            return False
        return last.signal_id == signal.signal_id or (signal.requested_at - last.requested_at).total_seconds() < seconds
