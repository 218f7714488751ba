"""Events of producers: predictions, their ground truth, and the heartbeat."""

from __future__ import annotations

from topics.events.base import Event, Label, Moment, Name, Scalar, Timestamp


class PredictionEvent(Event, frozen=True, kw_only=True):
    """One prediction, as it was made. `prediction_id` is the record's key.

    Without a `prediction` only the features are monitored.
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
    """Response of POST /predict to a `request_id`, which is the record's key. The first response of an id is valid.

    `features_digest` distinguishes a repeat of the request from another request with the same id. `event_timestamp` is
    the caller's time of the prediction. Without it, the time is `timestamp`, when the request was answered.
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
        """Return the time of the prediction."""
        return self.timestamp if self.event_timestamp is None else self.event_timestamp


class FeedbackEvent(Event, frozen=True, kw_only=True):
    """Ground truth of one prediction, usually late. A later one corrects an earlier one.

    With `model` the feedback is for that model's versions only; without, for every one that has the id.
    """

    prediction_id: Name
    actual: Label
    timestamp: Timestamp | None = None
    metadata: dict[str, Scalar] | None = None
    model: Name | None = None


class Heartbeat(Event, frozen=True, kw_only=True):
    """Statement that no prediction older than `timestamp` will follow, so that panes can close.

    Sent to every partition of `predictions`, with the record header `driftline: heartbeat`.
    """

    model: Name
    model_version: Name
    timestamp: Timestamp
