"""Every receiver that is known, read from the compacted topic `receivers` and kept up to date."""

from __future__ import annotations

import msgspec

from app.kafka.global_table import GlobalTable
from app.settings.settings import Settings
from topics.events import ReceiverEvent
from topics.registry import RECEIVERS

_receivers = msgspec.json.Decoder(ReceiverEvent)


class ReceiversTable(GlobalTable):
    """The newest word on each receiver. What cannot be decoded is logged and left out."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, RECEIVERS)
        self._known: dict[str, ReceiverEvent] = {}

    def get(self, name: str) -> ReceiverEvent | None:
        """One of them."""
        return self._known.get(name)

    def all(self) -> list[ReceiverEvent]:
        """Every one of them, by name."""
        return [self._known[name] for name in sorted(self._known)]

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        if value is None:
            self._known.pop((key or b"").decode(errors="replace"), None)
        else:
            receiver = _receivers.decode(value)
            self._known[receiver.name] = receiver
        self.revision += 1
