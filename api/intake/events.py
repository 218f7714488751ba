"""Events of HTTP clients, completed with an id and a time where the client gives none."""

from __future__ import annotations

import uuid
from datetime import datetime

import msgspec

from api.intake.cloud_events import Envelope
from app.core.values import accepted
from app.core.values.accepted import id_of
from topics.events import FeedbackEvent, Label, Name, PredictionEvent, Scalar, Timestamp, to_epoch


class IncomingPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """A PredictionEvent whose id and timestamp may be left to the API.

    `prediction` is null where only features are sent.
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
        """Return the event; a missing id or timestamp is created here."""
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
    model: Name | None = None

    def event(self, model: str | None = None) -> FeedbackEvent:
        """Return the event. `model` is its model where the event names none."""
        return FeedbackEvent(
            prediction_id=id_of(self.prediction_id),
            actual=self.actual,
            timestamp=self.timestamp,
            metadata=self.metadata,
            model=model if self.model is None else self.model,
        )


predictions = msgspec.json.Decoder(IncomingPrediction)
feedback = msgspec.json.Decoder(IncomingFeedback)
encode = msgspec.json.Encoder().encode

MADE_HERE = "0"
"""Id of an event that gets its id here, while the event is checked."""


def completed(event: IncomingPrediction, envelope: Envelope) -> IncomingPrediction:
    """Return the prediction of a CloudEvent, with the envelope's id and time where the prediction has none."""
    return msgspec.structs.replace(
        event, prediction_id=envelope.id if event.prediction_id is None else event.prediction_id,
        timestamp=envelope.time if event.timestamp is None else event.timestamp,
    )  # fmt: skip


def wrong_prediction(event: IncomingPrediction) -> str:
    """Return an error that the types do not exclude; empty for a valid prediction."""
    return accepted.wrong_prediction(
        MADE_HERE if event.prediction_id is None else id_of(event.prediction_id), event.model, event.model_version,
        None if event.timestamp is None else to_epoch(event.timestamp), event.prediction, event.probability,
    )  # fmt: skip


def wrong_feedback(event: IncomingFeedback) -> str:
    """Return an error that the types do not exclude; empty for valid feedback."""
    seconds = None if event.timestamp is None else to_epoch(event.timestamp)
    return accepted.wrong_feedback(id_of(event.prediction_id), seconds, event.actual, event.model)


def new_id() -> str:
    """Return a unique id."""
    return uuid.uuid4().hex
