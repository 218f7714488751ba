"""Whether predictions have stopped or dropped: a pure function of what came."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc

from app.core.evaluation.results import Traffic
from app.core.reference.layout import Integers
from app.core.scales.suffixes import spans_of
from app.core.traffic.history import Arrived
from topics.results import Volume

DAYS = (1, 7)
"""Days ago whose same hours are what is usual."""
LEVEL = 3 * 3_600.0
"""Seconds before, by which today's level is compared with that of another day."""
LONGEST = 4 * 3_600.0
"""Seconds of the longest span of newest panes that is judged, where that is more than a twelfth of a window."""
NEWEST = 12
"""So many parts has a window; its newest one is what is called steady again."""
OTHERS, FEWEST_OTHERS = 8, 4
"""So many times as many panes before the newest ones are compared with them; at least the second number."""
CHANCE = 0.001
"""The level where the newest panes are not judged by themselves (`decision.false_alarms: off`, policy `threshold`)."""
FLOOR = 0.1
"""Until a day is known, traffic may fall by itself to this share of what it was, as suddenly as it likes."""
DAY = 86_400.0
HOUR = 3_600.0


@dataclass(frozen=True, slots=True, eq=False)
class TrafficSeen:
    """What came up to the end of a window.

    `counts`: predictions in each of the newest panes, oldest first, from the model's first one on at most. `panes`: of
    a window; `pane`: seconds of one; `end`: of the newest, in epoch seconds. `arrived`: the same of the last days.
    """

    counts: Integers
    panes: int
    pane: float
    end: float
    arrived: Arrived


def most_panes(panes: int, pane: float) -> int:
    """Return how many of the newest panes are looked at for a drop."""
    return max(panes, (1 + OTHERS) * _longest(panes, pane))


def spans(panes: int, pane: float) -> tuple[int, ...]:
    """Return the numbers of newest panes that are judged."""
    return spans_of(_longest(panes, pane))


def _longest(panes: int, pane: float) -> int:
    # eleven windows are held before the newest pane
    return max(1, panes // NEWEST, min(int(LONGEST // pane), 2 * panes))


def traffic_of(seen: TrafficSeen, drop: float, level: float) -> Traffic:
    """Judge what came. `drop`: the share by which a drop falls; `level`: the largest p-value that is a finding."""
    counts = seen.counts
    there = np.flatnonzero(counts)
    last = int(there[-1]) + 1
    silent = len(counts) - last
    before = counts[max(0, last - 2 * seen.panes) : last]
    sufficient = len(before) >= seen.panes
    usual = float(before.mean())
    days, missed = _missed(seen, last, usual)
    recent = counts[max(0, last - max(16, int(LONGEST // seen.pane))) : last]
    window = counts[-seen.panes :]
    return Traffic(
        counts=(0,) * (seen.panes - len(window)) + tuple(window.tolist()),
        silent=silent,
        usual=usual,
        sufficient=sufficient,
        coverage=0.0,
        days=days,
        missed=missed,
        pause=_longest_pause(recent),
        chance=level,
        volume=_volume(seen, drop, level) if sufficient else None,
    )


def _longest_pause(counts: Integers) -> int:
    """Return the longest row of panes without any between two with some."""
    there = np.flatnonzero(counts)
    return int(np.diff(there).max(initial=1)) - 1


def _missed(seen: TrafficSeen, last: int, usual: float) -> tuple[tuple[int, ...], float]:
    """How many predictions would have come in the silent panes by what is usual, at least; the days that say so."""
    silent = len(seen.counts) - last
    start = seen.end - silent * seen.pane
    days, found = _of_days(seen.arrived, start, seen.end, seen.pane)
    if days:
        return days, found
    hour = max(1, int(HOUR // seen.pane))
    rate = min(usual, float(seen.counts[max(0, last - hour) : last].mean()))
    return (), FLOOR * rate * silent


def _of_days(
    arrived: Arrived, start: float, end: float, pane: float, *, level: bool = True
) -> tuple[tuple[int, ...], float]:
    """The fewest that came in the same hours of the days before, and which days are known.

    Half an hour earlier or later may as well be the same hour. `level`: at today's level, where that is lower.
    """
    found: list[tuple[int, float]] = []
    for day in DAYS:
        back = day * DAY
        shift = max(pane, 1_800.0)
        if arrived.since > start - back - LEVEL - shift:
            continue
        came = min(arrived.between(start - back + by, end - back + by) for by in (-shift, 0.0, shift))
        if level:
            then = arrived.between(start - back - LEVEL, start - back)
            now = arrived.between(start - LEVEL, start)
            came *= min(1.0, now / then) if then else 1.0
        found.append((day, came))
    return tuple(day for day, _ in found), min((came for _, came in found), default=0.0)


def _volume(seen: TrafficSeen, drop: float, level: float) -> Volume:
    """The drop that is shown best; without any, the newest twelfth against what is usual then."""
    judged = spans(seen.panes, seen.pane)
    found = [one for one in (_drop(seen, span, drop, level) for span in judged) if one is not None and one.found]
    return min(found, key=lambda one: one.p_value) if found else _newest(seen)


def _newest(seen: TrafficSeen) -> Volume:
    span = max(1, seen.panes // NEWEST)
    recent = int(seen.counts[-span:].sum())
    days, usual = _of_days(seen.arrived, seen.end - span * seen.pane, seen.end, seen.pane, level=False)
    if not days:
        others = seen.counts[-seen.panes : -span]
        usual = float(others.mean()) * span if len(others) else 0.0
    return Volume(span, recent, usual, 1.0, days)


def _drop(seen: TrafficSeen, span: int, drop: float, level: float) -> Volume | None:
    """Whether the newest panes have fallen: below what is usual, and below all that came shortly before.

    The second is what a holiday does not do: its morning rises more slowly, and does not fall. But its night may be
    quieter at once. So in hours that usually have less than a day's mean more must be missing: what may be left falls
    with the square of that.
    """
    counts, pane = seen.counts, seen.pane
    others = counts[-(1 + OTHERS) * span : -span]
    if len(others) < FEWEST_OTHERS * span:
        return None
    recent, before = int(counts[-span:].sum()), int(others.sum())
    if not _fell(others[-FEWEST_OTHERS * span :], span, recent, drop):
        return None
    start = seen.end - span * pane
    days, expected = _of_days(seen.arrived, start, seen.end, pane)
    if days:
        shown = min(before, _of_days(seen.arrived, start, seen.end, pane, level=False)[1])
        mean = seen.arrived.between(start - DAY, start) * span * pane / DAY
        left = (1.0 - drop) * min(1.0, expected / mean) ** 2 if mean else 0.0
    else:
        shown, left = float(before), 1.0 - drop
        expected = FLOOR * before * span / len(others)
    if recent >= left * expected or not shown:
        return None
    spread = _dispersion(others, max(1, min(span, int(1_800.0 // pane))))
    chance = float(betainc(shown / spread, recent / spread + 1.0, 1.0 - expected / (expected + shown)))
    return Volume(span, recent, expected, chance, days, found=chance < level)


def _fell(others: Integers, span: int, recent: int, drop: float) -> bool:
    """Whether the newest panes have fewer than any others shortly before, by half of a drop and by more than chance."""
    least = int(np.convolve(others, np.ones(span, np.int64), "valid").min())
    before, share = int(others.sum()), span / (span + len(others))
    if recent >= least or recent > (1.0 - drop / 2) * before * span / len(others):
        return False
    return bool(betainc(before, recent + 1.0, 1.0 - share) < CHANCE)


def _dispersion(counts: Integers, length: int) -> float:
    """Return the variance of the sums of so many panes as a multiple of their mean, of what is not a trend; at least 1.

    By the differences of one sum and the next (von Neumann 1941).
    """
    sums = counts[len(counts) % length :].reshape(-1, length).sum(axis=1)
    if len(sums) < 2 or not sums.sum():
        return 1.0
    return max(1.0, float((np.diff(sums) ** 2).mean() / 2.0 / sums.mean()))
