"""The events that every reader is measured on: 15 features, a prediction, a probability; truth for half of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import pandas as pd

from app.kafka.client_options import client_options
from app.registration.monitoring import MonitoringFile, monitoring_of
from app.registration.publish import register
from app.replay.encode import Encoded, ReplayColumns, encode_feedback, encode_predictions
from app.replay.run import HEARTBEAT_HEADER, Sent, replay
from app.replay.send import ReplaySender
from app.settings.settings import Settings
from topics.events import Heartbeat
from topics.registry import PREDICTIONS

MODEL, VERSION = "benchmark", "1"
START = 1_700_000_040.0
PER_SECOND = 500
"""Predictions a second of event time, so that a pane of a minute has 30,000."""
FEEDBACK_SHARE = 0.5
LATEST_FEEDBACK = 60.0
"""Truth comes up to so many seconds of event time after its prediction."""
CHUNK = 20_000

WHOLE = ("visits", "items", "age")
REAL = ("amount", "balance", "distance", "duration", "score", "speed", "temperature")
CATEGORIES = {"device": 2, "channel": 5, "segment": 12, "region": 25, "product": 50}
FEATURES = (*WHOLE, *REAL, *CATEGORIES)
COLUMNS = ReplayColumns(features=FEATURES)
MONITORING = {"columns": {"prediction": "prediction", "probability": "probability", "target": "actual"},
              "positive_label": "1"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counts:
    """How many events are in the topics."""

    predictions: int
    feedback: int

    @property
    def events(self) -> int:
        """Both."""
        return self.predictions + self.feedback


def counts_of(events: int) -> Counts:
    """As many predictions as leave room for the feedback of every second one."""
    predictions = max(2, round(events / (1 + FEEDBACK_SHARE)))
    return Counts(predictions, predictions // 2)


def frame(n: int, seed: int, first: int = 0) -> pd.DataFrame:
    """Rows `first` to `first + n`: features, prediction, probability, truth, id and time."""
    rng = np.random.default_rng([seed, first])
    columns: dict[str, object] = {name: rng.poisson(20 * (i + 1), n) for i, name in enumerate(WHOLE)}
    columns |= {name: rng.normal(100, 10 * (i + 1), n).round(4) for i, name in enumerate(REAL)}
    columns |= {name: np.array([f"{name}-{i}" for i in range(k)])[rng.integers(0, k, n)]
                for name, k in CATEGORIES.items()}  # fmt: skip
    probability = rng.random(n).round(6)
    row = np.arange(first, first + n)
    return pd.DataFrame(
        columns
        | {
            "prediction": (probability > 0.5).astype(int).astype(str),
            "probability": probability,
            "actual": (rng.random(n) < probability).astype(int).astype(str),
            "prediction_id": [f"prediction-{i:09d}" for i in row.tolist()],
            "timestamp": START + row / PER_SECOND,
            "answered_at": START + row / PER_SECOND + rng.uniform(1, LATEST_FEEDBACK, n),
        }
    )


def monitoring(**more: object) -> MonitoringFile:
    """The defaults, panes of a minute, windows of an hour, but for the sections that are given."""
    return monitoring_of({**MONITORING, **more})


async def register_model(settings: Settings, reference_rows: int, **more: object) -> None:
    """Register the model that the events belong to; `more` are sections of its monitoring."""
    reference = frame(reference_rows, seed=1).drop(columns=["prediction_id", "timestamp", "answered_at"])
    await register(settings, MODEL, VERSION, reference, monitoring(**more))


def predictions(n: int, since: int = 0) -> Iterator[Encoded]:
    """The predictions in time order, `n` from number `since` on, a chunk at a time."""
    for first in range(since, since + n, CHUNK):
        yield encode_predictions(frame(min(CHUNK, since + n - first), 2, first), COLUMNS, MODEL, VERSION)


def feedback(n: int) -> Iterator[Encoded]:
    """The truth of every second prediction, in the order of its time up to LATEST_FEEDBACK."""
    waiting = pd.DataFrame()
    for first in range(0, n, CHUNK):
        rows = frame(min(CHUNK, n - first), 2, first)
        answered = rows[rows.index % 2 == 1][["prediction_id", "actual", "answered_at"]]
        waiting = pd.concat([waiting, answered]).sort_values("answered_at")
        upto = START + (first + len(rows)) / PER_SECOND if first + CHUNK < n else np.inf
        due = waiting["answered_at"] < upto
        yield encode_feedback(waiting[due].rename(columns={"answered_at": "timestamp"}), COLUMNS)
        waiting = waiting[~due]


async def send_events(settings: Settings, counts: Counts, progress: Callable[[Sent], None]) -> None:
    """Send all of them, predictions and feedback merged by time; returns once the broker has them.

    A heartbeat on every partition closes the last pane, so that the last window is judged too; it is no event.
    """
    assert settings.bootstrap_servers is not None
    async with ReplaySender(client_options(settings)) as sender:
        await replay(sender, predictions(counts.predictions), feedback(counts.predictions),
                     prefix=settings.prefix, progress=progress)  # fmt: skip
        windows = monitoring().monitoring.windows
        closed = START + counts.predictions / PER_SECOND + windows.pane + windows.allowance
        beat = msgspec.json.encode(Heartbeat(model=MODEL, model_version=VERSION, timestamp=closed))
        await sender.send_to_all(PREDICTIONS.full_name(settings.prefix), beat, HEARTBEAT_HEADER)
