"""Checks of the demo: the fault was found, named and resolved, no other alert fired, and every person was counted
once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from app.core.config.monitoring import Monitoring
from app.demo.seen import DemoSeen, DemoWindow
from app.demo.story import Fault

REACTIONS = ("prediction_drift", "performance")
"""Rules that must fire in addition to the rule that names the feature."""


@dataclass(frozen=True, slots=True)
class DemoCheck:
    """Result of one check, in words."""

    passed: bool
    words: str


@dataclass(frozen=True, slots=True)
class Expected:
    """Expected results of the stream: event times, and the span in which alerts are correct."""

    fault: Fault
    monitoring: Monitoring
    times: NDArray[np.float64]

    @property
    def margin(self) -> timedelta:
        """Return how long an alert may fire after the fault's end, until the window is free of it and the rule
        clears.
        """
        windows, rules = self.monitoring.windows, self.monitoring.alerting
        clear = max(
            rules.data_drift.clear_windows, rules.prediction_drift.clear_windows, rules.performance.clear_windows
        )
        return timedelta(seconds=windows.pane * (windows.panes + clear + 1))

    @property
    def window(self) -> timedelta:
        """Return the length of a window."""
        return timedelta(seconds=self.monitoring.windows.pane * self.monitoring.windows.panes)

    def people(self, end: datetime) -> int:
        """Return the number of people in the window that ends at `end`."""
        last, first = end.timestamp(), (end - self.window).timestamp()
        low, high = np.searchsorted(self.times, [first, last], side="left")
        return int(high - low)

    def ends(self) -> list[float]:
        """Return the end of every pane with people in it, in epoch seconds."""
        pane = self.monitoring.windows.pane
        return [float(end) for end in (np.unique(self.times // pane) + 1) * pane]


def settled(seen: DemoSeen, expected: Expected) -> bool:
    """Return whether every window has arrived with all of its people and all of their truth."""
    by_end = {end.timestamp(): window for end, window in seen.windows.items()}
    return all((w := by_end.get(end)) is not None and _exact(w, expected) for end in expected.ends())


def verdict(seen: DemoSeen, expected: Expected) -> list[DemoCheck]:
    """Return all checks, in the order in which they are printed."""
    return [_found(seen, expected), _named(seen, expected), *_reacted(seen, expected), _resolved(seen, expected),
            _quiet_alerts(seen, expected), _quiet_windows(seen, expected), _counted(seen, expected)]  # fmt: skip


def _found(seen: DemoSeen, expected: Expected) -> DemoCheck:
    fault = expected.fault
    naming = [a for a in seen.alerts if a.labels.get("subject") == fault.feature and a.status == "firing"]
    if not naming:
        return DemoCheck(False, f"no alert names {fault.feature}")
    first = min(naming, key=lambda a: a.started_at)
    after = (first.started_at - fault.start).total_seconds() / 86_400
    passed = fault.start <= first.started_at <= fault.end
    return DemoCheck(
        passed, f"fault found: “{first.title}” since {first.started_at:%-d %B %Y}, {after:.0f} days after it began"
    )


def _named(seen: DemoSeen, expected: Expected) -> DemoCheck:
    named: set[str] = set()
    for window in _during(seen, expected):
        named.update(() if window.drift is None else window.drift.drifted_features)
    right = named == {expected.fault.feature}
    return DemoCheck(right, f"explained by: {', '.join(sorted(named)) or 'nothing'} (broken: {expected.fault.feature})")


def _reacted(seen: DemoSeen, expected: Expected) -> Iterator[DemoCheck]:
    fault = expected.fault
    for rule in REACTIONS:
        fired = [a for a in seen.latest() if a.rule == rule and fault.start <= a.started_at <= fault.end]
        when = f"since {fired[0].started_at:%-d %B %Y}" if fired else "did not fire"
        yield DemoCheck(bool(fired), f"{rule.replace('_', ' ')} alert {when}")


def _resolved(seen: DemoSeen, expected: Expected) -> DemoCheck:
    latest = list(seen.latest())
    ends = [a.ended_at for a in latest if a.ended_at is not None]
    if seen.firing or not ends:
        return DemoCheck(False, f"not resolved: {', '.join(a.title for a in seen.firing) or 'nothing fired'}")
    last = max(ends)
    passed = last <= expected.fault.end + expected.margin
    return DemoCheck(
        passed, f"resolved: all {len(latest)} alerts by {last:%-d %B %Y} (mended {expected.fault.end:%-d %B})"
    )


def _quiet_alerts(seen: DemoSeen, expected: Expected) -> DemoCheck:
    start, end = expected.fault.start, expected.fault.end + expected.margin
    outside = [a.title for a in seen.latest() if not start <= a.started_at <= end]
    words = f"false alarms: {len(outside)} (alerts outside the fault and {expected.margin.days} days after it)"
    return DemoCheck(not outside, f"{words} {'; '.join(outside)}".rstrip())


def _quiet_windows(seen: DemoSeen, expected: Expected) -> DemoCheck:
    loud = set(map(id, _during(seen, expected)))
    quiet = [window for window in seen.ordered if id(window) not in loud]
    wrong = [f"{window.end:%Y-%m-%d}" for window in quiet if window.alarming]
    return DemoCheck(
        not wrong, f"quiet windows: {len(quiet)}, with any finding: {len(wrong)} {' '.join(wrong)}".rstrip()
    )


def _counted(seen: DemoSeen, expected: Expected) -> DemoCheck:
    known = {end.timestamp() for end in seen.windows}
    missing = sum(end not in known for end in expected.ends())
    wrong = [window for window in seen.ordered if not _exact(window, expected)]
    words = f"counts: {len(seen.windows)} windows, {missing} missing, {len(wrong)} not equal to the file's own"
    if wrong:
        words += f", the first: {_counts_of(wrong[0], expected)}, the last: {_counts_of(wrong[-1], expected)}"
    return DemoCheck(not missing and not wrong, words)


def _counts_of(window: DemoWindow, expected: Expected) -> str:
    drift = window.drift.n if window.drift else None
    truth = window.performance.feedback if window.performance else None
    return f"{window.end:%Y-%m-%d} counts {drift}, truth of {truth}, file {expected.people(window.end)}"


def _during(seen: DemoSeen, expected: Expected) -> list[DemoWindow]:
    """Return the windows that overlap the fault."""
    fault = expected.fault
    return [w for w in seen.ordered if w.end > fault.start and w.end - expected.window < fault.end]


def _exact(window: DemoWindow, expected: Expected) -> bool:
    n = expected.people(window.end)
    return (
        window.drift is not None
        and window.performance is not None
        and (window.drift.n, window.performance.n, window.performance.feedback) == (n, n, n)
    )
