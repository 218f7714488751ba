"""Source logs for tests of the join, with all that can stand in them."""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import numpy as np

from app.core.config.monitoring import DefaultTruth, Monitoring, PerformanceThresholds, Windows
from app.core.profile_builder import build_profile
from app.core.reference.profile import Profile
from app.registration.models_table import RegisteredModel
from tests.support.reports import StubRecord

START = 1_700_000_000.0
BROKER_AHEAD = 2000.0
"""Seconds by which the broker's clock is ahead of all event times."""
HEARTBEAT = (("driftline", b"heartbeat"),)


def _profile(version: str) -> Profile:
    if version == "binary":
        size, colour = np.array([0.0, 1.0, 1.0, 2.0, 5.0]), ["red", "green", "red", "3", "true"]
        probability = np.array([0.1, 0.4, 0.6, 0.7, 0.9])
        return build_profile(
            "m", version, "binary", {"size": size, "colour": colour}, ["0", "0", "1", "1", "1"], probability
        )
    if version == "multiclass":
        return build_profile("m", version, "multiclass", {"age": np.array([20.0, 30.0, 40.0])}, ["a", "b", "c"])
    return build_profile("n", version, "regression", {}, np.array([1.0, 2.0, 4.0, 8.0]))


PROFILES = {version: _profile(version) for version in ("binary", "multiclass", "regression")}
MODELS = {version: profile.model for version, profile in PROFILES.items()}
PANES = {"binary": 60.0, "multiclass": 30.0, "regression": 60.0}


class Registry:
    """Every profile, watched with the given windows."""

    revision = 1

    def __init__(self, silence: float | None = None, **windows: Any) -> None:
        """`silence`: seconds after which it is a truth."""
        self.models = {
            (MODELS[version], version): RegisteredModel(
                profile,
                Monitoring(
                    windows=Windows(pane=PANES[version], **windows), performance=performance_of(version, silence)
                ),
                datetime(2024, 1, 1, tzinfo=UTC),
            )
            for version, profile in PROFILES.items()
        }

    def get(self, model: str, version: str) -> RegisteredModel | None:
        return self.models.get((model, version))

    async def catch_up(self) -> None:
        """All is known."""

    def windows(self, version: str) -> Windows:
        return self.models[MODELS[version], version].monitoring.windows

    def silence(self, version: str) -> DefaultTruth | None:
        return self.models[MODELS[version], version].monitoring.performance.default_truth


def performance_of(version: str, silence: float | None) -> PerformanceThresholds:
    """With what silence means after so many seconds."""
    if silence is None:
        return PerformanceThresholds()
    values: dict[str, int | str | float] = {"binary": 0, "multiclass": "a", "regression": 1.5}
    return PerformanceThresholds(default_truth=DefaultTruth(values[version], silence))


@dataclass(frozen=True)
class Planned:
    """An id: where it goes, what is said of it first."""

    key: str
    partition: int
    version: str
    time: float


@dataclass
class Producer:
    """Writes random events to the logs of predictions (0) and feedback (1) of each partition.

    `ordered`: feedback never has an older time than one before it, and none lacks its time; what is doubled keeps
    its time and its model version, and other versions of an id follow its first at once. Then what expires follows
    from the logs alone.
    """

    rng: random.Random
    partitions: int = 2
    ordered: bool = False
    logs: dict[tuple[int, int], list[StubRecord]] = field(default_factory=dict)
    ids: list[Planned] = field(default_factory=list)
    time: float = START
    told: dict[int, float] = field(default_factory=dict)
    taken: int = 0
    reached: dict[tuple[int, str], list[tuple[float, int]]] = field(default_factory=dict)
    """Of each partition and model: the newest event time so far, and the broker's time of what brought it."""

    def __post_init__(self) -> None:
        self.logs = {(partition, topic): [] for partition in range(self.partitions) for topic in (0, 1)}

    def append(self, partition: int, topic: int, key: str | None, value: object, **more: Any) -> None:
        """One record; now and then an offset is left out, as compaction and transactions do."""
        log = self.logs[partition, topic]
        offset = log[-1].offset + 1 if log else 0
        offset += self.rng.random() < 0.05
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.taken = max(self.taken + 1, round((self.time + BROKER_AHEAD) * 1000))
        log.append(StubRecord(offset, raw, None if key is None else key.encode(), self.taken, **more))
        if topic == 0 and isinstance(value, dict):
            times = self.reached.setdefault((partition, value["model_version"]), [])
            if not times or value["timestamp"] > times[-1][0]:
                times.append((value["timestamp"], self.taken))

    def unread(self, partition: int, topic: int, following: int) -> list[StubRecord]:
        """The records of a log from an offset on."""
        log = self.logs[partition, topic]
        return log[bisect_left(log, following, key=attrgetter("offset")) :]

    def plan(self) -> Planned:
        """A new id, near the newest time."""
        rng = self.rng
        self.time += rng.choice([0.0, 1.0, 7.0, 40.0])
        time = self.time - rng.choice([0.0, 0.0, 5.0, 90.0, 400.0])
        made = Planned(f"id{len(self.ids)}", rng.randrange(self.partitions), rng.choice(list(PROFILES)), time)
        self.ids.append(made)
        return made

    def any_id(self) -> Planned:
        """A known id, mostly a recent one; or a new one."""
        if not self.ids or self.rng.random() < 0.3:
            return self.plan()
        return self.rng.choice(self.ids if self.rng.random() < 0.2 else self.ids[-12:])

    def predict(self) -> None:
        """A prediction: mostly a first, sometimes doubled, or not to be read, or a heartbeat."""
        rng = self.rng
        fresh = rng.random() < 0.6
        planned = self.plan() if fresh else self.any_id()
        kind = rng.random()
        if kind < 0.04:
            beat = {"model": MODELS[planned.version], "model_version": planned.version, "timestamp": self.time}
            self.append(planned.partition, 0, None, beat, headers=HEARTBEAT)
        elif kind < 0.08:
            self.append(planned.partition, 0, planned.key, b'{"prediction_id": 3}')
        else:
            version = planned.version if self.ordered or rng.random() < 0.9 else rng.choice(list(PROFILES))
            time = planned.time if self.ordered or rng.random() < 0.8 else self.time
            event = {
                "prediction_id": planned.key, "model": MODELS[version], "model_version": version, "timestamp": time,
                **outputs(rng, version),
            }  # fmt: skip
            self.append(planned.partition, 0, planned.key, event)
            if fresh and rng.random() < 0.3:
                self._shadow(planned)

    def _shadow(self, planned: Planned) -> None:
        """The same id under another version, or under both others, at once or a little later in event time."""
        rng = self.rng
        others = [version for version in PROFILES if version != planned.version]
        for version in rng.sample(others, rng.choice([1, 1, 2])):
            event = {
                "prediction_id": planned.key, "model": MODELS[version], "model_version": version,
                "timestamp": planned.time + rng.choice([0.0, 0.0, 3.0, 50.0]), **outputs(rng, version),
            }  # fmt: skip
            self.append(planned.partition, 0, planned.key, event)

    def answer(self) -> None:
        """Feedback on a prediction, before or after it, once or corrected, or not to be read."""
        rng = self.rng
        planned = self.any_id()
        if rng.random() < 0.04:
            self.append(planned.partition, 1, planned.key, {"prediction_id": planned.key})
            return
        event: dict[str, object] = {"prediction_id": planned.key, "actual": truth_of(rng, planned.version)}
        if rng.random() < 0.4:
            event["model"] = rng.choice(["m", "n", "n", "another"])
        if self.ordered:
            delay = rng.choice([0.0, 30.0, 200.0, 900.0])
            time = max(self.told.get(planned.partition, 0.0), planned.time + delay)
            event["timestamp"] = self.told[planned.partition] = time
        elif rng.random() < 0.5:
            event["timestamp"] = planned.time + rng.choice([-50.0, 0.0, 1000.0])
        self.append(planned.partition, 1, planned.key, event)


def outputs(rng: random.Random, version: str) -> dict[str, object]:
    """Features, prediction and probability, some of them strange."""
    number = rng.choice([0, 1, 2.0, 1.5, 5, -3, 1e300, None, "NaN", "Infinity", "-Infinity", True, "five"])
    if version == "regression":
        return {"features": {}, "prediction": rng.choice([1, 2.5, 8, 1e9, -1, "Infinity", "much"])}
    if version == "multiclass":
        return {"features": {"age": number}, "prediction": rng.choice(["a", "b", "c", "d"])}
    features: dict[str, object] = {"size": number, "colour": rng.choice(["red", "green", "blue", 3, True, False, None])}
    if rng.random() < 0.2:
        del features[rng.choice(list(features))]
    if rng.random() < 0.2:
        features[rng.choice(["weight", "height"])] = 1
    probability = rng.choice([None, 0, 0.4, 0.55, 1, {"0": 0.25, "1": 0.75}, {"0": 1}])
    return {"features": features, "prediction": rng.choice(["0", "1", 1, 0.0, "2"]), "probability": probability}


def truth_of(rng: random.Random, version: str) -> object:
    """An actual, some of them not to be judged."""
    if version == "regression":
        return rng.choice([0, 1.5, 2, 9, -1e9, "much", True])
    return rng.choice(["0", "1", 1, 0.0, True]) if version == "binary" else rng.choice(["a", "b", "c", "zz"])
