"""What producers send: predictions, the truth about them, and the heartbeat."""

from __future__ import annotations

from topics.events.base import Event, Label, Moment, Name, Scalar, Timestamp


class PredictionEvent(Event, frozen=True, kw_only=True):
    """One prediction, as it was made. `prediction_id` is the record's key.

    Without a `prediction` only the features are watched.
    """

    prediction_id: Name
    model: Name
    model_version: Name
    timestamp: Timestamp
    features: dict[str, Scalar]
    prediction: Label | None = None
    probability: float | dict[str, float] | None = None
    metadata: dict[str, Scalar] | None = None


class ServedEvent(Event, frozen=True, kw_only=True):
    """What POST /predict has answered to a `request_id`, which is the record's key. The first of an id holds.

    `features_digest` tells a repeat of the request from another one with the same id. `event_timestamp` is the time of
    the prediction that the caller gave; without it that is `timestamp`, when it was answered.
    """

    prediction_id: Name
    model: Name
    model_version: Name
    timestamp: Moment
    prediction: Label
    prediction_label: str
    probability: float | dict[str, float] | None
    features_digest: str
    event_timestamp: Moment | None = None

    @property
    def predicted_at(self) -> Moment:
        """The time of the prediction."""
        return self.timestamp if self.event_timestamp is None else self.event_timestamp


class FeedbackEvent(Event, frozen=True, kw_only=True):
    """The truth about one prediction, usually late. A later one corrects an earlier one.

    With `model` it is for that model's versions alone; without, for every one that has the id.
    """

    prediction_id: Name
    actual: Label
    timestamp: Timestamp | None = None
    metadata: dict[str, Scalar] | None = None
    model: Name | None = None


class Heartbeat(Event, frozen=True, kw_only=True):
    """Says that no prediction older than `timestamp` will follow, so that panes can close.

    Sent to every partition of `predictions`, with the record header `driftline: heartbeat`.
    """

    model: Name
    model_version: Name
    timestamp: Timestamp
