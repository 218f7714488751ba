"""How far a worker had come at each moment, from the Progress of its partitions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Step:
    """What a partition had counted, predictions and joined feedback, at a moment of Kafka's clock."""

    at: float
    partition: int
    events: int


class Curve:
    """Events counted in all, over time: of each partition, between two of its steps, by their line."""

    def __init__(self, steps: Sequence[Step]) -> None:
        partitions: dict[int, list[Step]] = defaultdict(list)
        for step in sorted(steps, key=lambda step: (step.at, step.events)):
            partitions[step.partition].append(step)
        self._at = np.unique([step.at for step in steps])
        self._events = np.zeros(len(self._at))
        for found in partitions.values():
            self._events += np.interp(self._at, [step.at for step in found], [step.events for step in found], left=0)

    def when(self, events: int) -> float:
        """The moment at which so many were counted."""
        return float(np.interp(events, self._events, self._at))
