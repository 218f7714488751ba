"""What POST /predict has answered to a `request_id`, read from the topic `served` and kept up to date."""

from __future__ import annotations

import msgspec

from app.runtime.compacted_view import CompactedView
from app.runtime.settings import Settings
from topics.events import ServedEvent
from topics.registry import SERVED

MOST = 500_000
"""Answers that are kept, about 150 MB; the oldest are forgotten first."""

_served = msgspec.json.Decoder(ServedEvent)


class ServedView(CompactedView):
    """The first answer to each id: all APIs read the same log, so they agree which one was first."""

    def __init__(self, settings: Settings, most: int = MOST) -> None:
        super().__init__(settings, SERVED)
        self._most = most
        self._first: dict[str, bytes] = {}

    def get(self, prediction_id: str) -> ServedEvent | None:
        """The answer to one id, if it is known."""
        found = self._first.get(prediction_id)
        return None if found is None else _served.decode(found)

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        if value is None:
            return
        prediction_id = _served.decode(value).prediction_id
        self._first.setdefault(prediction_id, value)
        if len(self._first) > self._most:
            del self._first[next(iter(self._first))]
        self.revision += 1
