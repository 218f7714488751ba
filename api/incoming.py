"""Events as HTTP clients send them, made whole: an id and a time of our own where they give none."""

from __future__ import annotations

import math
import unicodedata
import uuid
from datetime import UTC, datetime

import msgspec

from api.cloud_events import Envelope
from app.core.values.reading import spelled
from app.core.values.times import EARLIEST, LATEST
from topics.events import FeedbackEvent, Label, Name, PredictionEvent, Scalar, Timestamp, to_epoch


class IncomingPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """A PredictionEvent whose id and timestamp may be left to us.

    `prediction` is null where features alone are sent.
    """

    prediction_id: Name | int | float | None = None
    model: Name
    model_version: Name
    timestamp: Timestamp | None = None
    features: dict[str, Scalar]
    prediction: Label | None
    probability: float | dict[str, float] | None = None
    metadata: dict[str, Scalar] | None = None

    def event(self, now: datetime) -> PredictionEvent:
        """The event; what is not given is made up."""
        return PredictionEvent(
            prediction_id=new_id() if self.prediction_id is None else id_of(self.prediction_id),
            model=self.model,
            model_version=self.model_version,
            timestamp=now if self.timestamp is None else self.timestamp,
            features=self.features,
            prediction=self.prediction,
            probability=self.probability,
            metadata=self.metadata,
        )


class IncomingFeedback(msgspec.Struct, frozen=True, kw_only=True):
    """A FeedbackEvent whose id may be a number."""

    prediction_id: Name | int | float
    actual: Label
    timestamp: Timestamp | None = None
    metadata: dict[str, Scalar] | None = None

    def event(self) -> FeedbackEvent:
        """Return the event."""
        return FeedbackEvent(
            prediction_id=id_of(self.prediction_id),
            actual=self.actual,
            timestamp=self.timestamp,
            metadata=self.metadata,
        )


predictions = msgspec.json.Decoder(IncomingPrediction)
feedback = msgspec.json.Decoder(IncomingFeedback)
encode = msgspec.json.Encoder().encode


def completed(event: IncomingPrediction, envelope: Envelope) -> IncomingPrediction:
    """The prediction of a CloudEvent, whose id and time are its own where it gives none."""
    return msgspec.structs.replace(
        event, prediction_id=event.prediction_id or envelope.id,
        timestamp=envelope.time if event.timestamp is None else event.timestamp,
    )  # fmt: skip


def wrong_prediction(event: IncomingPrediction) -> str:
    """What the types do not say; nothing when it is sound."""
    return wrong_timestamp(event.timestamp) or _wrong_probability(event.probability)


def wrong_feedback(event: IncomingFeedback) -> str:
    """The same for feedback."""
    return wrong_timestamp(event.timestamp)


def wrong_timestamp(timestamp: Timestamp | None) -> str:
    """Why a timestamp is not believed."""
    if timestamp is None or EARLIEST <= to_epoch(timestamp) < LATEST:
        return ""
    return "timestamp: must be RFC 3339 or seconds since the epoch, from 1970 to 2100 (milliseconds?)"


def _wrong_probability(probability: float | dict[str, float] | None) -> str:
    if probability is None:
        return ""
    given = probability if isinstance(probability, dict) else {"": probability}
    for label, value in given.items():
        if not (math.isfinite(value) and 0.0 <= value <= 1.0):
            return f"probability{'.' if label else ''}{label}: must be from 0 to 1"
    return ""


def id_of(given: str | float) -> str:
    """Return an id in its one spelling: 7 and 7.0 are `7`, texts are Unicode NFC."""
    return unicodedata.normalize("NFC", given) if isinstance(given, str) else spelled(given)


def new_id() -> str:
    """An id that nobody else has."""
    return uuid.uuid4().hex


def utc_now() -> datetime:
    """Now, with its zone."""
    return datetime.now(UTC)
