"""What POST /predict has answered to a `request_id`, read from the topic `served` and kept up to date."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from app.kafka.global_table import FollowedTopic
from app.settings.settings import Settings
from topics.events import ServedEvent, to_epoch
from topics.registry import SERVED

MOST = 500_000
"""Answers that are kept, about 150 MB; the oldest are forgotten first."""
KEPT_SECONDS = SERVED.retention_days * 86_400
"""How long one is kept: as long as the topic keeps it, so that it is the same before a restart and after."""

_served = msgspec.json.Decoder(ServedEvent)


class ServedAnswersTable(FollowedTopic):
    """The first answer to each model's id: all APIs read the same log, so they agree which one was first."""

    def __init__(self, settings: Settings, most: int = MOST, now: Callable[[], float] = time.time) -> None:
        super().__init__(settings, SERVED)
        self._most = most
        self._now = now
        self._first: dict[tuple[str, str], tuple[float, bytes]] = {}

    def get(self, model: str, prediction_id: str) -> ServedEvent | None:
        """A model's answer to one id, if it is known."""
        found = self._first.get((model, prediction_id))
        return None if found is None else _served.decode(found[1])

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        if value is None:
            return
        served = _served.decode(value)
        self._first.setdefault((served.model, served.prediction_id), (to_epoch(served.timestamp), value))
        self._forget()
        self.revision += 1

    def _forget(self) -> None:
        """Forget the oldest, while they are too many or too old."""
        while self._first:
            oldest = next(iter(self._first))
            if len(self._first) <= self._most and self._now() - self._first[oldest][0] <= KEPT_SECONDS:
                return
            del self._first[oldest]
