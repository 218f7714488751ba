"""Every silence that is known, read from the compacted topic `silences` and kept up to date."""

from __future__ import annotations

from datetime import datetime

import msgspec

from app.kafka.global_table import GlobalTable
from app.settings.settings import Settings
from topics.events import SilenceEvent
from topics.registry import SILENCES

_silences = msgspec.json.Decoder(SilenceEvent)


class SilencesTable(GlobalTable):
    """The newest word on each silence. What cannot be decoded is logged and left out."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, SILENCES)
        self._known: dict[str, SilenceEvent] = {}

    def get(self, silence_id: str) -> SilenceEvent | None:
        """One of them."""
        return self._known.get(silence_id)

    def all(self) -> list[SilenceEvent]:
        """Every one of them, those that are over too, in the order in which they begin."""
        return sorted(self._known.values(), key=lambda one: (one.starts_at, one.silence_id))

    def not_over(self, now: datetime) -> list[SilenceEvent]:
        """Those that are in force at a moment, or will be later."""
        return [one for one in self.all() if one.ends_at is None or one.ends_at > now]

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        if value is None:
            self._known.pop((key or b"").decode(errors="replace"), None)
        else:
            silence = _silences.decode(value)
            self._known[silence.silence_id] = silence
        self.revision += 1
