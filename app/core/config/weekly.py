"""Hours of the week: weekdays and times of day by local wall-clock time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")


class WeeklyError(ValueError):
    """Hours that cannot be used. The message names the field."""


@dataclass(frozen=True, slots=True)
class Weekly:
    """Hours from `start` until before `end`, in minutes of the day. An `end` not after `start` is on the next day."""

    weekdays: frozenset[int]
    start: int
    end: int

    def covers(self, weekday: int, minute: float) -> bool:
        """Return whether a moment is within these hours: weekday (Monday is 0) and minute of the day."""
        if self.end > self.start:
            return weekday in self.weekdays and self.start <= minute < self.end
        began_today = weekday in self.weekdays and minute >= self.start
        return began_today or ((weekday - 1) % 7 in self.weekdays and minute < self.end)


def weekly_of(weekdays: Iterable[str], start: str, end: str) -> Weekly:
    """Parse weekly hours: `mon`, `mon-fri`; `22:00`. Raises WeeklyError."""
    days = frozenset(day for text in weekdays for day in _days(text))
    if not days:
        raise WeeklyError(f"weekdays: name at least one of {', '.join(WEEKDAYS)}")
    return Weekly(days, _minute("start", start, DAY - 1), _minute("end", end, DAY))


def _days(text: str) -> list[int]:
    first, _, last = text.strip().lower().partition("-")
    try:
        begin, end = (WEEKDAYS.index(name.strip()[:3]) for name in (first, last or first))
    except ValueError:
        raise WeeklyError(f"weekdays: {text!r} is neither one of {', '.join(WEEKDAYS)} nor a range of them") from None
    return [day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)]


def _minute(name: str, text: str, last: int) -> int:
    found = _CLOCK.fullmatch(text.strip())
    minute = int(found[1]) * 60 + int(found[2]) if found else DAY + 1
    if minute > last:
        raise WeeklyError(f"{name}: {text!r} is no time of day; write it as 22:00")
    return minute
