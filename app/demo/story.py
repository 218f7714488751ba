"""Events that the demo replays: three years of event time, late truth, duplicates, and one temporary upstream fault."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from app.demo.census import TRUTH
from app.demo.model import SEED, predicted

DAY = 86_400.0
MONTHS = 12.0
"""Factor of the fault: from its first day on, the upstream job sends ages in months."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Fault of one feature, with its start and end in event time."""

    feature: str = "AGEP"
    start: datetime = datetime(2017, 5, 1, tzinfo=UTC)
    end: datetime = datetime(2017, 9, 1, tzinfo=UTC)

    @property
    def words(self) -> str:
        """Return a description of the fault for people."""
        return (
            f"from {self.start:%-d %B %Y} to {self.end:%-d %B %Y} {self.feature} (age) arrives in months, not in years"
        )


@dataclass(frozen=True)
class DemoStream:
    """Events of the replay.

    `predictions` and `feedback`: in sending order; `people`: each person once, in order of time.
    """

    people: pd.DataFrame
    predictions: pd.DataFrame
    feedback: pd.DataFrame

    @property
    def events(self) -> int:
        """Return the number of events to send."""
        return len(self.predictions) + len(self.feedback)


def story(
    people: pd.DataFrame, pipeline: Pipeline, fault: Fault, *, late_days: tuple[float, float] = (1, 30),
    duplicated: float = 0.02, seed: int = SEED,
) -> DemoStream:  # fmt: skip
    """Distribute each year's people over their year, apply the fault, predict, and delay the truth.

    Return the events.
    """
    rng = np.random.default_rng(seed)
    timed = _timed(people, rng)
    broken = timed["timestamp"].between(fault.start.timestamp(), fault.end.timestamp(), inclusive="left")
    timed.loc[broken, fault.feature] *= MONTHS
    served = predicted(pipeline, timed)
    truth = pd.DataFrame({
        "prediction_id": served["prediction_id"],
        "actual": served[TRUTH],
        "timestamp": served["timestamp"] + DAY * rng.uniform(*late_days, len(served)),
    })  # fmt: skip
    return DemoStream(
        people=served,
        predictions=_with_duplicates(served, served["timestamp"].to_numpy(), duplicated, rng),
        feedback=_with_duplicates(truth, truth["timestamp"].to_numpy(), duplicated, rng),
    )


def _timed(people: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return the people in random order, evenly spread over each year: the survey gives no date beyond the year."""
    years = []
    for year, of_year in people.groupby("year"):
        start, end = (datetime(y, 1, 1, tzinfo=UTC).timestamp() for y in (int(year), int(year) + 1))
        shuffled = of_year.iloc[rng.permutation(len(of_year))]
        years.append(
            shuffled.assign(timestamp=start + (end - start) * (np.arange(len(shuffled)) + 0.5) / len(shuffled))
        )
    timed = pd.concat(years, ignore_index=True)
    return timed.assign(prediction_id="census-" + timed["id"].astype(str))


def _with_duplicates(
    frame: pd.DataFrame, times: NDArray[np.float64], share: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Return the rows in order of time, with a share of them sent a second time within the next day."""
    again = rng.choice(len(frame), int(len(frame) * share), replace=False)
    sent = np.concatenate([times, times[again] + DAY * rng.uniform(0, 1, len(again))])
    rows = np.concatenate([np.arange(len(frame)), again])
    return frame.iloc[rows[np.argsort(sent, kind="stable")]].reset_index(drop=True)
