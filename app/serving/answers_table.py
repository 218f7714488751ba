"""Responses of POST /predict by `request_id`: a global table of the topic `served`."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from app.kafka.global_table import FollowedTopic
from app.settings.settings import Settings
from topics.events import ServedEvent, to_epoch
from topics.registry import SERVED

MOST = 500_000
"""Number of responses that are kept, about 150 MB. The oldest are removed first."""
KEPT_SECONDS = SERVED.retention_days * 86_400
"""Time for which a response is kept, in seconds. It is the topic's retention, so that a restart changes nothing."""

_served = msgspec.json.Decoder(ServedEvent)


class ServedAnswersTable(FollowedTopic):
    """First response to each id of a model.

    All APIs read the same log, so they agree on which response was first.
    """

    def __init__(self, settings: Settings, most: int = MOST, now: Callable[[], float] = time.time) -> None:
        super().__init__(settings, SERVED)
        self._most = most
        self._now = now
        self._first: dict[tuple[str, str], tuple[float, bytes]] = {}

    def get(self, model: str, prediction_id: str) -> ServedEvent | None:
        """Return a model's response to an id; None where there is none."""
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
        """Remove the oldest responses, while there are too many or they are too old."""
        while self._first:
            oldest = next(iter(self._first))
            if len(self._first) <= self._most and self._now() - self._first[oldest][0] <= KEPT_SECONDS:
                return
            del self._first[oldest]
