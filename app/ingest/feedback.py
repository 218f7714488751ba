"""Conversion of `feedback` records to one batch of columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.core.config.monitoring import Windows
from app.core.join.state import MICROSECONDS, NEVER, FeedbackBatch
from app.core.reference.layout import Floats
from app.core.values.times import believable
from app.ingest.decoding import (
    AHEAD,
    UNBELIEVABLE,
    LinesDecoder,
    Record,
    Rejected,
    broker_times,
    decode,
    ids_of,
    is_ahead,
    keys_fit,
    seconds_of,
    wrong_key,
)
from topics.events import FeedbackEvent, to_epoch

MOST_AHEAD = Windows().ahead
"""Largest time ahead of the broker's clock in seconds.

Feedback does not name its model, so the default is used for all.
"""

_EVENTS = LinesDecoder(FeedbackEvent)


def feedback_batch(records: Sequence[Record]) -> tuple[FeedbackBatch, list[Rejected]]:
    """Return the batch of the sound records in offset order, and the rejected records."""
    events = _EVENTS.decode([record.value or b"" for record in records])
    if events is None or not keys_fit(records, events):
        return _one_by_one(records)
    seconds = seconds_of([event.timestamp for event in events])
    if not (believable(seconds) | np.isnan(seconds)).all():
        return _one_by_one(records)
    with np.errstate(invalid="ignore"):
        if (seconds * MICROSECONDS - broker_times(records) > MOST_AHEAD * MICROSECONDS).any():
            return _one_by_one(records)
    return _batch(records, events, seconds), []


def _one_by_one(records: Sequence[Record]) -> tuple[FeedbackBatch, list[Rejected]]:
    kept: list[Record] = []
    events: list[FeedbackEvent] = []
    rejected: list[Rejected] = []
    for record in records:
        event = decode(record, _EVENTS.single)
        if not isinstance(event, Rejected) and (reason := _wrong(record, event)):
            event = Rejected(record, reason)
        if isinstance(event, Rejected):
            rejected.append(event)
            continue
        if event.timestamp is not None and is_ahead(record, to_epoch(event.timestamp), MOST_AHEAD):
            rejected.append(Rejected(record, AHEAD % MOST_AHEAD, True))
            continue
        kept.append(record)
        events.append(event)
    return _batch(kept, events, seconds_of([event.timestamp for event in events])), rejected


def _batch(records: Sequence[Record], events: Sequence[FeedbackEvent], seconds: Floats) -> FeedbackBatch:
    time = np.full(len(events), NEVER, np.int64)
    given = ~np.isnan(seconds)
    time[given] = np.rint(seconds[given] * MICROSECONDS).astype(np.int64)
    ids = ids_of([record.key or b"" for record in records])
    models = [event.model or "" for event in events]
    return FeedbackBatch(
        ids=ids, actual=[event.actual for event in events], time=time, models=models if any(models) else None
    )


def _wrong(record: Record, event: FeedbackEvent) -> str:
    if event.timestamp is not None and not believable(to_epoch(event.timestamp)):
        return UNBELIEVABLE
    return wrong_key(record.key, event.prediction_id)
