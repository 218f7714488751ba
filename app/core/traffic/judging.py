"""Evaluation of traffic: whether predictions have stopped or dropped. A pure function of the counts."""

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
"""Days ago whose same hours define the usual traffic."""
LEVEL = 3 * 3_600.0
"""Seconds before, by which today's level is compared with that of another day."""
LONGEST = 4 * 3_600.0
"""Maximum seconds of the longest span of newest panes that is judged, where this is more than a twelfth of a window."""
NEWEST = 12
"""Number of parts of a window; its newest part decides whether traffic is called steady again."""
OTHERS, FEWEST_OTHERS = 8, 4
"""Multiples of the newest panes before them that they are compared with: the usual and the least number."""
CHANCE = 0.001
"""Level where the newest panes are not judged by themselves (`decision.false_alarms: off`, policy `threshold`)."""
FLOOR = 0.1
"""Share of the previous traffic to which it may fall without a finding, even suddenly, until a day is known."""
DAY = 86_400.0
HOUR = 3_600.0


@dataclass(frozen=True, slots=True, eq=False)
class TrafficSeen:
    """Predictions up to the end of a window.

    `counts`: predictions in each of the newest panes, oldest first, at most from the model's first one on. `panes`:
    the number of a window's panes; `pane`: seconds of one; `end`: the end of the newest, in epoch seconds. `arrived`:
    the predictions of the last days.
    """

    counts: Integers
    panes: int
    pane: float
    end: float
    arrived: Arrived


def most_panes(panes: int, pane: float) -> int:
    """Return how many of the newest panes are used to detect a drop."""
    return max(panes, (1 + OTHERS) * _longest(panes, pane))


def spans(panes: int, pane: float) -> tuple[int, ...]:
    """Return the numbers of newest panes that are judged."""
    return spans_of(_longest(panes, pane))


def _longest(panes: int, pane: float) -> int:
    # eleven windows are kept before the newest pane
    return max(1, panes // NEWEST, min(int(LONGEST // pane), 2 * panes))


def traffic_of(seen: TrafficSeen, drop: float, level: float) -> Traffic:
    """Judge the traffic. `drop`: the share by which a drop falls; `level`: the largest p-value that is a finding."""
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
    """Return the longest sequence of empty panes between two with predictions."""
    there = np.flatnonzero(counts)
    return int(np.diff(there).max(initial=1)) - 1


def _missed(seen: TrafficSeen, last: int, usual: float) -> tuple[tuple[int, ...], float]:
    """Return the days with known traffic, and how many predictions would have come at least in the silent panes."""
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
    """Return which days before are known, and the fewest predictions in the same hours of these days.

    Half an hour earlier or later may count as the same hour. `level`: scale to today's level, where this is lower.
    """
    found: list[tuple[int, float]] = []
    for day in DAYS:
        back = day * DAY
        shift = max(pane, 1_800.0)
        if arrived.since > start - back - LEVEL - shift:
            continue
        shifted = np.array([-shift, 0.0, shift]) - back
        came = float(arrived.between(start + shifted, end + shifted).min()) if end > start else 0.0
        if level and came:
            starts = np.array([start - back, start])
            then, now = arrived.between(starts - LEVEL, starts).tolist()
            came *= min(1.0, now / then) if then else 1.0
        found.append((day, came))
    return tuple(day for day, _ in found), min((came for _, came in found), default=0.0)


def _volume(seen: TrafficSeen, drop: float, level: float) -> Volume:
    """Return the drop that is shown best; without any, the newest twelfth compared with its usual volume."""
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
    """Return the fall of the newest panes below the usual volume, and below all that came shortly before; else None.

    The second condition is what a holiday does not meet: its morning rises more slowly, and does not fall. But its
    night may be quieter at once. So in hours that usually have less than a day's mean more must be missing: the part
    that may be left falls with the square of the ratio.
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
        mean = float(seen.arrived.between(start - DAY, start)) * span * pane / DAY
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
    """Return whether the newest panes have fewer than any others before, by half of a drop and by more than chance."""
    running = np.concatenate([[0], np.cumsum(others)])
    least = int((running[span:] - running[:-span]).min())
    before, share = int(others.sum()), span / (span + len(others))
    if recent >= least or recent > (1.0 - drop / 2) * before * span / len(others):
        return False
    return bool(betainc(before, recent + 1.0, 1.0 - share) < CHANCE)


def _dispersion(counts: Integers, length: int) -> float:
    """Return the variance of the sums of `length` panes as a multiple of their mean, without the trend; at least 1.

    It is computed from the differences of one sum and the next (von Neumann 1941).
    """
    sums = counts[len(counts) % length :].reshape(-1, length).sum(axis=1)
    if len(sums) < 2 or not sums.sum():
        return 1.0
    return max(1.0, float((np.diff(sums) ** 2).mean() / 2.0 / sums.mean()))
