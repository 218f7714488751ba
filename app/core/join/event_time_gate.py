"""Gate that holds back each model's event time until feedback has been read up to the same broker time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from app.core.join.state import NEVER


class EventTimeGate:
    """The event time that each model has reached, as far as feedback has been read to the same broker time.

    Broker times are in milliseconds since the epoch, event times in microseconds.
    """

    def __init__(self, recovered: Mapping[int, int]) -> None:
        """Start from `recovered`: each model's event time in the saved state, which has no broker time."""
        self._recovered = dict(recovered)
        self._steps: deque[tuple[int, dict[int, int]]] = deque()
        self._released: dict[int, int] = {}

    @property
    def any(self) -> bool:
        """Return whether any event time is held back."""
        return bool(self._steps or self._recovered)

    def reached(self, first: int, last: int, times: Mapping[int, int]) -> None:
        """Note that predictions between two broker times have moved models to these event times."""
        if self._recovered:
            self._steps.append((first, self._recovered))
            self._recovered = {}
        if times:
            self._steps.append((last, dict(times)))

    def fed(self, until: float) -> None:
        """Note that feedback has been read up to a broker time; release the event times up to it."""
        while self._steps and self._steps[0][0] <= until:
            self._released |= self._steps.popleft()[1]

    def release(self) -> None:
        """Release all event times: there is no feedback to wait for."""
        self._released |= self._recovered
        self._recovered = {}
        self.fed(math.inf)

    def of(self, model: int) -> int:
        """Return a model's released event time; NEVER where none is released."""
        return self._released.get(model, NEVER)
