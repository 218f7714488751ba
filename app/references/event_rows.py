"""Rows of a reference, collected from predictions and feedback of one model version."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import pandas as pd

from app.core.values.times import believable
from app.ingest.predictions import Head
from app.tables.exports import plain_export
from app.tables.files import table_of_rows
from topics.events import FeedbackEvent, PredictionEvent, Scalar, Timestamp, from_epoch, to_epoch

_features = msgspec.json.Decoder(dict[str, Scalar])


class ReceivedPrediction(NamedTuple):
    """Prediction, and when the broker received it in epoch seconds."""

    event: Head | PredictionEvent
    at: float


class ReceivedFeedback(NamedTuple):
    """Feedback, and when the broker received it in epoch seconds."""

    event: FeedbackEvent
    at: float


class _Row(NamedTuple):
    """Prediction with its own time, and when the broker received it."""

    time: float
    at: float
    event: Head | PredictionEvent


def _by_time(row: _Row) -> tuple[float, str]:
    return row.time, row.event.prediction_id


def _by_arrival(row: _Row) -> tuple[float, str]:
    return row.at, row.event.prediction_id


class EventRows:
    """Predictions of a model version by id, each with its newest truth.

    `most`: only so many are kept, the newest by their own times, or with `first` those that came first. `since` and
    `until`: bounds of the predictions' own times; `until` is the first moment after the last one. `ahead`:
    seconds that a time may be ahead of the broker's, as in the stream.
    """

    def __init__(
        self,
        model: str,
        version: str,
        *,
        most: int | None = None,
        first: bool = False,
        since: datetime | None = None,
        until: datetime | None = None,
        ahead: float,
    ) -> None:
        self._version = (model, version)
        self._most = most
        self._first = first
        self._since = None if since is None else since.timestamp()
        self._until = None if until is None else until.timestamp()
        self._ahead = ahead
        self._predictions: dict[str, _Row] = {}
        self._truths: dict[str, ReceivedFeedback] = {}
        self.other_versions: set[str] = set()
        """Other versions of the model that have predictions."""
        self.rejected = 0
        """Records that the stream would reject."""

    def __len__(self) -> int:
        return len(self._predictions)

    def add_predictions(self, received: Iterable[ReceivedPrediction]) -> None:
        """Add predictions in the order of their offsets. The first prediction of an id counts."""
        for event, at in received:
            if (event.model, event.model_version) != self._version:
                if event.model == self._version[0]:
                    self.other_versions.add(event.model_version)
                continue
            time = to_epoch(event.timestamp)
            if not believable(time) or time - at > self._ahead:
                self.rejected += 1
            elif (self._since is None or time >= self._since) and (self._until is None or time < self._until):
                self._predictions.setdefault(event.prediction_id, _Row(time, at, event))
        if self._most is not None and len(self._predictions) > 2 * self._most:
            self._trim(self._most)

    def add_older(self, older: EventRows) -> None:
        """Add rows of smaller offsets than those that are here."""
        self._predictions |= older._predictions
        self.other_versions |= older.other_versions
        self.rejected += older.rejected

    def add_feedback(self, received: Iterable[ReceivedFeedback]) -> None:
        """Add feedback in the order of its offsets, after all predictions. The last feedback of an id counts."""
        for one in received:
            of_model = one.event.model in (None, self._version[0])
            if of_model and one.event.prediction_id in self._predictions:
                self._truths[one.event.prediction_id] = one

    def table(self) -> pd.DataFrame:
        """Return the rows as a table, oldest first, with the columns of an export of the history."""
        if self._most is not None:
            self._trim(self._most)
        ordered = sorted(self._predictions.values(), key=_by_time)
        rows = [row for one in ordered if (row := self._row(one.time, one.event)) is not None]
        return plain_export(table_of_rows(rows))

    def _trim(self, most: int) -> None:
        """Keep the newest predictions, or those that came first. Equal times are ordered by id."""
        if len(self._predictions) > most:
            found = self._predictions.values()
            kept = heapq.nsmallest(most, found, _by_arrival) if self._first else heapq.nlargest(most, found, _by_time)
            self._predictions = {one.event.prediction_id: one for one in kept}

    def _row(self, time: float, event: Head | PredictionEvent) -> dict[str, Any] | None:
        """Return a row of an export; None, counted as rejected, where the features cannot be read."""
        features = event.features
        if not isinstance(features, dict):
            try:
                features = _features.decode(features)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                self.rejected += 1
                return None
        truth = self._truths.get(event.prediction_id)
        return {
            "prediction_id": event.prediction_id,
            "model": event.model,
            "model_version": event.model_version,
            "timestamp": from_epoch(time).isoformat(),
            "features": features,
            "prediction": event.prediction,
            "probability": event.probability,
            "metadata": event.metadata,
            "actual": None if truth is None else truth.event.actual,
            "feedback_at": None if truth is None else from_epoch(_given(truth.event.timestamp, truth.at)).isoformat(),
        }


def _given(timestamp: Timestamp | None, received: float) -> float:
    """Return the time of feedback: its own where that is believed, else when it was received."""
    given = received if timestamp is None else to_epoch(timestamp)
    return given if believable(given) else received
