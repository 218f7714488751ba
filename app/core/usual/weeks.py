"""The first weeks of a live stream: looked at until there are enough days to learn from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import ceil
from typing import Generic, TypeVar

from app.core.config.monitoring import Windows
from app.core.usual.days import Days, Look
from app.core.usual.spans import DAY, FEWEST_WINDOWS

LEAST_DAYS = 14
"""Minimum whole days that are learned from: each weekday twice, and enough days to include bad ones."""
T = TypeVar("T")


def needed_days(windows: Windows) -> int:
    """Return how many whole days are learned from: LEAST_DAYS, or more if four windows side by side need more."""
    return max(LEAST_DAYS, ceil(FEWEST_WINDOWS * windows.panes * windows.pane / DAY))


class Weeks(ABC, Generic[T]):
    """Days that are learned from, then the `learned` result, which is valid for windows from pane `first` on.

    The state is a function of the panes, by their event time: each pane is looked at once nothing in it can change
    any more. `lag`: panes after which this is so.
    """

    def __init__(self, days: Days, needs: int, lag: int) -> None:
        self.days, self.needs, self.lag = days, needs, lag
        self.learned: T | None = None
        self.first = 0
        self.unsaved: set[int] = set()
        """Days that are not saved in the table in their present state."""
        self.fresh = False
        """State flag: the learned result is not saved in the table yet."""

    def looks(self, oldest: int, until: int, judged: int | None = None) -> Iterator[Look]:
        """Yield the looks up to a pane, until enough is known: after whole days, the first one left out.

        `judged`: the newest window that was judged, if the learned result must not apply to windows up to it.
        """
        if self.learned is not None:
            return
        for look in self.days.looks(oldest, until):
            if len(self.days.days) > self.needs and self.days.day_of(look) not in self.days.days:
                self.learned = self._learn()
                self.first = max(look.end + self.lag, look.end if judged is None else judged + 1)
                self.fresh = True
                return
            yield look

    def resume(self, learned: T, first: int) -> None:
        """Continue with a learned result."""
        self.learned, self.first = learned, first

    @abstractmethod
    def _learn(self) -> T:
        """Return the result of the days."""
