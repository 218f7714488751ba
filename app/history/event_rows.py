"""Conversion of records to rows, for each topic that the history records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from app.core.values.times import believable
from app.history.registered import default_truth_row
from app.history.rows import (
    Row,
    alert_row,
    audit_row,
    delivery_row,
    deployment_row,
    feedback_row,
    prediction_row,
    report_row,
    training_row,
)
from app.history.writer import Entry
from app.ingest.decoding import LinesDecoder, Record, Rejected, decode, wrong_key
from app.ingest.predictions import heads_of, is_heartbeat
from app.ingest.rekeying import origin_of
from topics.events import (
    AlertEvent,
    AnyReport,
    AuditEvent,
    DeliveryEvent,
    DeploymentEvent,
    FeedbackEvent,
    ModelEvent,
    Scalar,
    Timestamp,
    TrainingRunEvent,
    to_epoch,
)
from topics.registry import (
    ALERTS,
    AUDIT,
    DELIVERIES,
    DEPLOYMENTS,
    FEEDBACK,
    MODELS,
    PREDICTIONS,
    REPORTS,
    TRAINING_RUNS,
    Topic,
)

_FEATURES = LinesDecoder(dict[str, Scalar])
_FEEDBACK = LinesDecoder(FeedbackEvent)

SINGLE: dict[Topic, tuple[msgspec.json.Decoder[Any], Callable[[Any], Row | None]]] = {
    MODELS: (msgspec.json.Decoder(ModelEvent), default_truth_row),
    REPORTS: (msgspec.json.Decoder(AnyReport), report_row),
    ALERTS: (msgspec.json.Decoder(AlertEvent), alert_row),
    DELIVERIES: (msgspec.json.Decoder(DeliveryEvent), delivery_row),
    TRAINING_RUNS: (msgspec.json.Decoder(TrainingRunEvent), training_row),
    DEPLOYMENTS: (msgspec.json.Decoder(DeploymentEvent), deployment_row),
    AUDIT: (msgspec.json.Decoder(AuditEvent), audit_row),
}
READ_HERE_ALONE = (DELIVERIES, TRAINING_RUNS, DEPLOYMENTS, AUDIT)
"""Topics whose unreadable records the recorder puts into the dead letters. The stream does so for the other topics."""


def entries_of(topic: Topic, records: Sequence[Record]) -> tuple[list[Entry], list[Rejected]]:
    """Return the entries of a batch, and the records to put into the dead letters."""
    entries: list[Entry] = []
    rejected: list[Rejected] = []
    for record, make in _read(topic, records):
        if isinstance(make, str):
            if topic in READ_HERE_ALONE:
                rejected.append(Rejected(record, make))
            continue
        try:
            row = make()
        except ValueError as error:
            rejected.append(Rejected(record, f"history: {error}", readable=True))
            continue
        if row is not None:
            entries.append(Entry(record.offset, row, record))
    return entries, rejected


Read = tuple[Record, Callable[[], Row | None] | str]
"""A record, and either a function that makes its row or the reason why the record cannot be read."""


def _read(topic: Topic, records: Sequence[Record]) -> Iterator[Read]:
    if topic is PREDICTIONS:
        return _predictions([record for record in records if not is_heartbeat(record) and origin_of(record) is None])
    if topic is FEEDBACK:
        return _feedback([record for record in records if origin_of(record) is None])  # the original was recorded
    return _single(topic, records)


def _predictions(records: Sequence[Record]) -> Iterator[Read]:
    found = heads_of(records)
    features = [head.features for head in found.heads]
    sound = _FEATURES.decode(features) is not None
    for record, head in zip(found.records, found.heads, strict=True):
        reason = _unbelievable(head.timestamp)
        if not reason and not sound:
            decoded = _FEATURES.decode_one(head.features)
            reason = decoded if isinstance(decoded, str) else ""
        yield record, reason or partial(prediction_row, head)


def _feedback(records: Sequence[Record]) -> Iterator[Read]:
    events = _FEEDBACK.decode([record.value or b"" for record in records])
    for i, record in enumerate(records):
        event = events[i] if events is not None else _FEEDBACK.decode_one(record.value or b"")
        if isinstance(event, str):
            yield record, event
            continue
        reason = wrong_key(record.key, event.prediction_id)
        if event.timestamp is not None:
            reason = reason or _unbelievable(event.timestamp)
        yield record, reason or partial(feedback_row, event, record.timestamp / 1000)


def _single(topic: Topic, records: Sequence[Record]) -> Iterator[Read]:
    decoder, row_of = SINGLE[topic]
    for record in records:
        event = decode(record, decoder)
        yield record, event.reason if isinstance(event, Rejected) else partial(row_of, event)


def _unbelievable(timestamp: Timestamp) -> str:
    return "" if believable(to_epoch(timestamp)) else "`timestamp` is outside 1970 to 2100"
