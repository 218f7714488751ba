"""Table of all silences, read from the compacted topic `silences` and kept up to date."""

from __future__ import annotations

from datetime import datetime

from app.kafka.global_table import GlobalTable
from app.settings.settings import Settings
from topics.events import SilenceEvent
from topics.registry import SILENCES


class SilencesTable(GlobalTable[tuple[str], SilenceEvent]):
    """The newest event of each silence."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, SILENCES, SilenceEvent, key=lambda silence: (silence.silence_id,))

    def get(self, silence_id: str) -> SilenceEvent | None:
        """Return a silence by its id; None where there is none."""
        return self._rows.get((silence_id,))

    def all(self) -> list[SilenceEvent]:
        """Return all silences, expired ones too, sorted by their start."""
        return sorted(self._rows.values(), key=lambda one: (one.starts_at, one.silence_id))

    def not_over(self, now: datetime) -> list[SilenceEvent]:
        """Return the silences that are active or pending at a moment."""
        return [one for one in self.all() if one.ends_at is None or one.ends_at > now]
