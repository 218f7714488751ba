"""Topics that have predictions and feedback, and the decoding of their records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.ingest.decoding import LinesDecoder, Record, wrong_key
from app.ingest.predictions import heads_of, is_heartbeat
from app.ingest.rekeying import origin_of
from app.references.event_rows import ReceivedFeedback, ReceivedPrediction
from app.settings.settings import Settings
from topics.events import FeedbackEvent
from topics.registry import FEEDBACK, PREDICTIONS

_FEEDBACK = LinesDecoder(FeedbackEvent)


class EventTopics(Protocol):
    """Topic with predictions and topic with feedback (they may be the same), by their full names."""

    predictions: str
    feedback: str

    async def read_predictions(self, records: Sequence[Record]) -> tuple[list[ReceivedPrediction], int]:
        """Return the predictions in records of one partition, and the number of records that cannot be read."""
        ...

    async def read_feedback(self, records: Sequence[Record]) -> tuple[list[ReceivedFeedback], int]:
        """Return the feedback in records of one partition, and the number of records that cannot be read."""
        ...


class OwnTopics:
    """Topics `predictions` and `feedback` of an installation."""

    def __init__(self, settings: Settings) -> None:
        self.predictions = PREDICTIONS.full_name(settings.prefix)
        self.feedback = FEEDBACK.full_name(settings.prefix)

    async def read_predictions(self, records: Sequence[Record]) -> tuple[list[ReceivedPrediction], int]:
        """Return the predictions, without heartbeats and copies that a worker has re-keyed."""
        found = heads_of([one for one in records if not is_heartbeat(one) and origin_of(one) is None])
        read = [
            ReceivedPrediction(head, record.timestamp / 1000)
            for record, head in zip(found.records, found.heads, strict=True)
        ]
        return read, len(found.rejected)

    async def read_feedback(self, records: Sequence[Record]) -> tuple[list[ReceivedFeedback], int]:
        """Return the feedback, without copies that a worker has re-keyed."""
        records = [one for one in records if origin_of(one) is None]
        values = [one.value or b"" for one in records]
        events = _FEEDBACK.decode(values)
        read: list[ReceivedFeedback] = []
        for i, record in enumerate(records):
            event = events[i] if events is not None else _FEEDBACK.decode_one(values[i])
            if isinstance(event, str) or wrong_key(record.key, event.prediction_id):
                continue
            read.append(ReceivedFeedback(event, record.timestamp / 1000))
        return read, len(records) - len(read)
