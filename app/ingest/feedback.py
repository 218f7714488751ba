"""A run of `feedback` records into one batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.core.joining import MICROSECONDS, NEVER, FeedbackBatch
from app.ingest.decoding import EARLIEST, LATEST, LinesDecoder, Record, Rejected, ids_of, wrong_key
from topics.events import FeedbackEvent, to_epoch

_EVENTS = LinesDecoder(FeedbackEvent)


def feedback_batch(records: Sequence[Record]) -> tuple[FeedbackBatch, list[Rejected]]:
    """The batch of the sound records, in offset order, and the rejected ones."""
    kept: list[Record] = []
    events: list[FeedbackEvent] = []
    rejected: list[Rejected] = []
    decoded = _EVENTS.decode([record.value or b"" for record in records])
    for i, record in enumerate(records):
        event = decoded[i] if decoded is not None else _one(record)
        reason = event if isinstance(event, str) else _wrong(record, event)
        if isinstance(event, str) or reason:
            rejected.append(Rejected(record, reason))
            continue
        kept.append(record)
        events.append(event)
    time = [NEVER if e.timestamp is None else round(to_epoch(e.timestamp) * MICROSECONDS) for e in events]
    batch = FeedbackBatch(
        ids=ids_of([record.key or b"" for record in kept]),
        actual=[event.actual for event in events],
        time=np.array(time, np.int64),
    )
    return batch, rejected


def _one(record: Record) -> FeedbackEvent | str:
    return "the record has no value" if record.value is None else _EVENTS.decode_one(record.value)


def _wrong(record: Record, event: FeedbackEvent) -> str:
    if event.timestamp is not None and not EARLIEST <= to_epoch(event.timestamp) < LATEST:
        return "`timestamp` is outside 1970 to 2100: epoch timestamps are in seconds, not milliseconds"
    return wrong_key(record.key, event.prediction_id)
