"""Event times of predictions that are not told yet: their feedback, read behind them, may be about to come."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from app.core.join.state import NEVER


class EventTimeGate:
    """The event time that each model has come to, as far as feedback has been read to the same broker's time.

    Broker's times in milliseconds since the epoch, event times in microseconds.
    """

    def __init__(self, recovered: Mapping[int, int]) -> None:
        """`recovered`: the event time of each model by the saved state, which has no broker's time."""
        self._recovered = dict(recovered)
        self._steps: deque[tuple[int, dict[int, int]]] = deque()
        self._released: dict[int, int] = {}

    @property
    def any(self) -> bool:
        """Whether a time is held."""
        return bool(self._steps or self._recovered)

    def reached(self, first: int, last: int, times: Mapping[int, int]) -> None:
        """A run of predictions, from one broker's time to another, has brought models to these event times."""
        if self._recovered:
            self._steps.append((first, self._recovered))
            self._recovered = {}
        if times:
            self._steps.append((last, dict(times)))

    def fed(self, until: float) -> None:
        """Feedback has been read up to a broker's time."""
        while self._steps and self._steps[0][0] <= until:
            self._released |= self._steps.popleft()[1]

    def release(self) -> None:
        """No feedback is to be waited for."""
        self._released |= self._recovered
        self._recovered = {}
        self.fed(math.inf)

    def of(self, model: int) -> int:
        """A model's event time, as far as it may be told; NEVER where none may."""
        return self._released.get(model, NEVER)
