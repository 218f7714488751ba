"""Alerts of traffic, feedback and the monitor itself in plain words: titles, and lines of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from app.alerting.rules.service_rules import FEEDBACK, TOO_LATE, TRAFFIC
from app.alerting.rules.verdict import Verdict
from app.core.traffic.judging import CHANCE
from topics.events import MonitorReport, TrafficReport

MOST = 5
"""Topics or reasons that are told."""

SERVICE = {
    (TRAFFIC, "stopped"): ("no predictions come any more", "predictions come again"),
    (TRAFFIC, "volume"): ("predictions have dropped suddenly", "the volume of predictions is steady again"),
    (FEEDBACK, "stopped"): ("no feedback comes any more", "feedback comes again"),
    (FEEDBACK, "coverage"): ("fewer predictions get their feedback", "as many predictions get their feedback again"),
    (FEEDBACK, TOO_LATE): ("feedback comes too late to be counted", "feedback comes in time again"),
}
"""Titles of what fires and of what is over."""


def traffic_lines(report: TrafficReport, verdict: Verdict) -> Iterator[str]:
    """What is seen of traffic and feedback, and how sure that is."""
    told, pane = (verdict.rule, verdict.subject), report.window_end - report.window_start
    pane /= max(len(report.counts), 1)
    if told == (TRAFFIC, "stopped"):
        usual = f"{report.usual:.4g} in {lasting(pane)}"
        yield f"None in the last {lasting(report.silent * pane)}; usually there are {usual}."
        if report.missed is not None and report.silent:
            by = f"By {_hours(report.days)}" if report.days else "By a tenth of the rate before, while no day is known"
            yield f"{by}, {report.missed:,.4g} would have come since."
    elif told == (TRAFFIC, "volume"):
        yield _volume(report, pane)
    elif told == (FEEDBACK, "stopped"):
        longest = f"the longest of its last {report.feedback_gaps} pauses was {lasting(report.feedback_longest * pane)}"
        yield f"None for {lasting(report.feedback_silent * pane)}; {longest}."
    elif told == (FEEDBACK, TOO_LATE):
        yield from _too_late(report, verdict)
    else:
        told_share = f"{report.coverage:.0%}; usual are {report.usual_coverage:.0%}"
        yield f"Of the window before this one so many have their feedback: {told_share}."
    if verdict.rule == FEEDBACK and report.waiting:
        yield f"Feedback whose prediction has not come (are the ids the same?): {report.waiting:,}."
    if verdict.rule == TRAFFIC and verdict.state == "breach":
        yield f"At the usual rate chance brings that less than once in {1 / (report.chance or CHANCE):,.0f} times."


def _too_late(report: TrafficReport, verdict: Verdict) -> Iterator[str]:
    share = "Too little" if verdict.value is None else f"{verdict.value:.0%}"
    yield f"{share} of the truth of the last windows came after the retention of its prediction, and enters no metric."
    yield f"In all {report.too_late:,} came too late, {report.feedback:,} in time."
    retention = verdict.evidence.get("retention")
    if isinstance(retention, int | float):
        kept = lasting(timedelta(seconds=retention))
        yield f"Predictions wait {kept} for their truth: raise windows.retention, and register again."


def _volume(report: TrafficReport, pane: timedelta) -> str:
    volume = report.volume
    if volume is None:
        return "Too few panes are known."
    words = f"{volume.recent:,} in the last {lasting(volume.panes * pane)}"
    if volume.days:
        return f"{words}; {volume.expected:,.4g} or more in {_hours(volume.days)}."
    if volume.found:
        return f"{words}; {volume.expected:,.4g} are a tenth of the rate before, which counts while no day is known."
    return f"{words}; {volume.expected:,.4g} in as long before that."


def _hours(days: Sequence[int]) -> str:
    names = [{1: "yesterday", 7: "a week ago"}.get(day, f"{day} days ago") for day in days]
    return f"the same hours {' and '.join(names)}"


def lasting(span: timedelta) -> str:
    """A length of time in the unit that suits it."""
    seconds = span.total_seconds()
    for most, length, unit in ((120, 1, "s"), (120 * 60, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < most:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 86_400:.3g} days"


def monitor_lines(report: MonitorReport, verdict: Verdict) -> Iterator[str]:
    """What the worker that has a partition sees of it."""
    standing = report.partitions[str(verdict.evidence["partition"])]
    if verdict.subject.startswith("lag"):
        yield f"It is {standing.behind_seconds or 0.0:.0f} s behind (at most {verdict.threshold:.0f} s)."
        for name, count in sorted(standing.lag.items(), key=lambda item: -item[1])[:MOST]:
            yield f"{name}: {count:,} to be read"
    else:
        yield f"{standing.dead_letters:,} dead letters of {standing.n:,} records read."
        for reason, count in sorted(report.dead_letters.items(), key=lambda item: -item[1])[:MOST]:
            yield f"{reason}: {count:,} dead letters in all partitions of the worker"
    yield f"Reported by {report.worker}."
