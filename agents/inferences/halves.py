"""Conversion of inference records to halves, and of pairs of halves to predictions."""

from __future__ import annotations

from typing import NamedTuple

import xxhash

from app.core.join.inference_pairs import Half, Pair
from app.faust_batches.quarantine import Quarantined
from app.ingest.decoding import UNREADABLE, Record, wrong_key
from app.ingest.kserve import InferenceError, Order, predictions_of
from topics.events import PredictionEvent
from topics.inferences import REQUEST, RESPONSE, Inference, inference_of
from topics.reasons import field_error


class Paired(NamedTuple):
    """Content of a half: the attributes of the inference, and the record."""

    inference: Inference
    record: Record


def half_of(record: Record) -> Half[Paired] | str:
    """Return the half in a record, or the reason why the record has none."""
    if isinstance(record, Quarantined):
        return record.reason
    if record.value is None:
        return "the record has no value"
    try:
        inference = inference_of(record.headers)
    except UNREADABLE as error:
        return f"headers: {field_error(error)}"
    if inference.type not in (REQUEST, RESPONSE):
        return f"headers: ce_type: {inference.type!r} is neither an inference's request nor its response"
    reason = wrong_key(record.key, inference.id)
    if reason:
        return reason.replace("prediction_id", "ce_id")
    return Half(
        xxhash.xxh3_128_digest(repr(inference.of).encode()), inference.is_response, record.offset, record.timestamp,
        len(record.value), xxhash.xxh3_64_intdigest(record.value), Paired(inference, record),
    )  # fmt: skip


def events_of(pair: Pair[Paired], order: Order) -> list[PredictionEvent] | InferenceError:
    """Return the predictions of a pair, or the InferenceError that explains why there are none."""
    request, response = (half.content for half in pair)
    try:
        return predictions_of(
            (request.inference, request.record.value or b""), (response.inference, response.record.value or b""),
            order, min(half.at for half in pair) / 1000,
        )  # fmt: skip
    except InferenceError as error:
        return error
