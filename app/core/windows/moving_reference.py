"""Counts of the last weeks by the hour, from which the reference of a window is made where it moves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from zlib import crc32

from app.core.config.monitoring import MovingReference
from app.core.join.state import MICROSECONDS
from app.core.panes.pane import Pane, merge
from app.core.panes.slices import Slices
from app.core.reference.layout import Layout, layout_of
from app.core.reference.profile import Profile
from app.core.reference.usual import ReferenceUsual
from app.core.windows.moved_profile import largest_error, moved_profile

HOUR = 3600
WEEK_HOURS = 168
EPOCH_HOUR_OF_WEEK = 72
"""Hour of the week in which 1970 began, a Thursday; weeks begin on Monday."""


@dataclass(frozen=True, slots=True)
class MovedReference:
    """Reference of one window: rows from `since` until before `until` (epoch seconds), `n` of them.

    `error`: the largest error of a statistic that comes of counting these rows at the registered reference's values.
    """

    profile: Profile
    layout: Layout
    since: float
    until: float
    n: int
    error: float

    @property
    def source(self) -> int:
        """Return a number that identifies the rows."""
        return crc32(repr((self.since, self.until, self.n, self.error)).encode())


class HourSums:
    """Sums of dropped input panes by the hour of their beginning.

    `until`: by hour, the end of the newest pane in its sum, in microseconds. A pane is added once: panes are dropped in
    their order, and one that ends no later than that is in the sum already.
    """

    def __init__(self, size: int, sums: int) -> None:
        self._size, self._sums = size, sums
        self.hours: dict[int, tuple[int, Pane]] = {}
        self.unsaved: set[int] = set()
        """Hours that have changed, or are dropped, since they were saved."""
        self.revision = 0

    def add(self, start: int, end: int, pane: Pane) -> None:
        """Add a pane by its start and end, in microseconds."""
        hour = start // (HOUR * MICROSECONDS)
        known = self.hours.get(hour)
        if known is not None and end <= known[0]:
            return
        counted = Pane(pane.n, pane.indices, pane.counts, pane.sums)  # without names, which no reference has
        total = counted if known is None else merge((known[1], counted), self._size, self._sums)
        self.hours[hour] = end, total
        self.unsaved.add(hour)
        self.revision += 1

    def load(self, hour: int, until: int, total: Pane) -> None:
        """Put an hour that was saved into its place."""
        self.hours[hour] = until, total
        self.revision += 1

    def clear(self) -> None:
        """Drop all hours."""
        self.unsaved.update(self.hours)
        self.hours.clear()

    def drop_before(self, hour: int) -> None:
        """Drop the hours before one."""
        for old in [one for one in self.hours if one < hour]:
            del self.hours[old]
            self.unsaved.add(old)


class MovingWindowReference:
    """Maker of the reference of each window of one model version, from hours and from panes that are still kept."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.sums = HourSums(layout.size, layout.sums)
        self._made: tuple[object, MovedReference | None] = (None, None)

    def relearn(self, layout: Layout) -> None:
        """Take the same layout with other usual effects. The sums stay."""
        self._layout, self._made = layout, (None, None)

    def at(
        self,
        setting: MovingReference,
        window: tuple[int, int],
        kept: Slices,
        pane: int,
        needed: int,
        usual: ReferenceUsual | None = None,
    ) -> MovedReference | None:
        """Return the reference of a window, by its start and end in microseconds, with its usual effects.

        `kept`: panes of `pane` microseconds that are in no hour yet, by number. Return None while the rows do not
        reach back to the beginning of the span, or are fewer than `needed`.
        """
        start, end = window
        hour = HOUR * MICROSECONDS
        until = (end - round(setting.behind * MICROSECONDS)) // hour
        since = until - round(setting.moving / HOUR)
        wanted = _hours_of_week(start // hour, -(-end // hour)) if setting.same == "hour-of-week" else None
        inside = {number: one for number, one in kept.items() if since <= number * pane // hour < until}
        held = tuple((number, one.n) for number, one in inside.items())
        key = (since, until, wanted, self.sums.revision, held, needed, id(usual))
        if self._made[0] != key:
            total = self._total(since, until, wanted, inside, pane)
            self._made = key, None if total is None or total.n < needed else self._of(total, since, until, usual)
        return self._made[1]

    def _total(self, since: int, until: int, wanted: frozenset[int] | None, kept: Slices, pane: int) -> Pane | None:
        """Return the sum of the wanted hours; None where there is nothing from the beginning of the span."""
        hour = HOUR * MICROSECONDS
        parts = {one: total for one, (_, total) in self.sums.hours.items() if since <= one < until}
        oldest = min([*parts, *(number * pane // hour for number in kept)], default=until)
        if oldest > since:
            return None
        chosen: list[Pane] = [total for one, total in parts.items() if _is_wanted(one, wanted)]
        size = self._layout.size, self._layout.sums
        chosen += [one.sum(*size) for number, one in kept.items() if _is_wanted(number * pane // hour, wanted)]
        return merge(chosen, *size)

    def _of(self, total: Pane, since: int, until: int, usual: ReferenceUsual | None) -> MovedReference:
        profile = replace(moved_profile(self._layout, total), usual=usual)
        return MovedReference(
            profile, layout_of(profile), since * float(HOUR), until * float(HOUR), total.n, largest_error(profile)
        )


def hours_needed(setting: MovingReference) -> int:
    """Return the number of hours before the newest dropped one that a reference may need."""
    return round((setting.moving + setting.behind) / HOUR) + 1


def _hours_of_week(first: int, last: int) -> frozenset[int]:
    return frozenset(_hour_of_week(one) for one in range(first, min(last, first + WEEK_HOURS)))


def _hour_of_week(hour: int) -> int:
    return (hour + EPOCH_HOUR_OF_WEEK) % WEEK_HOURS


def _is_wanted(hour: int, wanted: Iterable[int] | None) -> bool:
    return wanted is None or _hour_of_week(hour) in wanted
