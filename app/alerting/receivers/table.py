"""Table of all receivers, read from the compacted topic `receivers` and kept up to date."""

from __future__ import annotations

from app.kafka.global_table import GlobalTable
from app.settings.settings import Settings
from topics.events import ReceiverEvent
from topics.registry import RECEIVERS


class ReceiversTable(GlobalTable[tuple[str], ReceiverEvent]):
    """The newest event of each receiver."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, RECEIVERS, ReceiverEvent, key=lambda receiver: (receiver.name,))

    def get(self, name: str) -> ReceiverEvent | None:
        """Return a receiver by its name; None where there is none."""
        return self._rows.get((name,))

    def all(self) -> list[ReceiverEvent]:
        """Return all receivers, sorted by name."""
        return sorted(self._rows.values(), key=lambda receiver: receiver.name)
