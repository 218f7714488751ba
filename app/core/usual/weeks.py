"""The first weeks of a live stream: looked at until there are days enough to learn from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import ceil
from typing import Generic, TypeVar

from app.core.config.monitoring import Windows
from app.core.usual.days import Days, Look
from app.core.usual.spans import DAY, FEWEST_WINDOWS

LEAST_DAYS = 14
"""Whole days that are learned from at least: each weekday twice, and enough of them to see what bad ones look like."""
T = TypeVar("T")


def needed_days(windows: Windows) -> int:
    """Return how many whole days are learned from: LEAST_DAYS, and as many as four windows side by side have."""
    return max(LEAST_DAYS, ceil(FEWEST_WINDOWS * windows.panes * windows.pane / DAY))


class Weeks(ABC, Generic[T]):
    """Days that are learned from, then what was `learned` of them, which holds for windows from pane `first` on.

    All of it is a function of the panes, by their event time: each is looked at once nothing in it can change any more.
    `lag`: panes after which that is so.
    """

    def __init__(self, days: Days, needs: int, lag: int) -> None:
        self.days, self.needs, self.lag = days, needs, lag
        self.learned: T | None = None
        self.first = 0
        self.unsaved: set[int] = set()
        """Days that are not in the table as they are."""
        self.fresh = False
        """Whether what was learned is not in the table yet."""

    def looks(self, oldest: int, until: int, judged: int | None = None) -> Iterator[Look]:
        """Yield what is to be looked at up to a pane, until enough is known: after whole days, the first one left out.

        `judged`: the newest window that was judged, where what is learned must hold for none before.
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
        """Go on with what was learned."""
        self.learned, self.first = learned, first

    @abstractmethod
    def _learn(self) -> T:
        """Return what the days show."""
