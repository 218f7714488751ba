"""Facts about the monitor's input and the monitor itself: traffic, feedback, lag and dead letters."""

from __future__ import annotations

from collections.abc import Iterator

from app.alerting.events.text import fact
from app.alerting.rules.service_rules import FEEDBACK, TOO_LATE, TRAFFIC
from app.alerting.rules.verdict import Verdict
from app.core.traffic.judging import CHANCE
from topics.events import Fact, MonitorReport, TrafficReport, Volume

MOST = 5
"""Number of topics or reasons that are named."""

SERVICE = {
    (TRAFFIC, "stopped"): ("no_predictions", "predictions_again"),
    (TRAFFIC, "volume"): ("predictions_dropped", "predictions_steady"),
    (FEEDBACK, "stopped"): ("no_feedback", "feedback_again"),
    (FEEDBACK, "coverage"): ("less_feedback", "feedback_as_usual"),
    (FEEDBACK, TOO_LATE): ("feedback_too_late", "feedback_in_time"),
}
"""Headlines of firing and of resolved alerts, by rule and subject."""


def traffic_facts(report: TrafficReport, verdict: Verdict) -> Iterator[Fact]:
    """Yield what is known of traffic and feedback, and how certain it is."""
    about = verdict.rule, verdict.subject
    pane = (report.window_end - report.window_start).total_seconds() / max(len(report.counts), 1)
    if about == (TRAFFIC, "stopped"):
        yield fact("silent", silent=report.silent * pane, usual=report.usual, pane=pane)
        if report.missed is not None and report.silent:
            yield fact("missed" if report.days else "missed_of_rate", missed=report.missed, days=report.days)
    elif about == (TRAFFIC, "volume"):
        yield from _volume(report.volume, pane)
    elif about == (FEEDBACK, "stopped"):
        silent, longest = report.feedback_silent * pane, report.feedback_longest * pane
        yield fact("feedback_silent", silent=silent, pauses=report.feedback_gaps, longest=longest)
    elif about == (FEEDBACK, TOO_LATE):
        yield from _too_late(report, verdict)
    else:
        yield fact("feedback_coverage", coverage=report.coverage, usual=report.usual_coverage)
    if verdict.rule == FEEDBACK and report.waiting:
        yield fact("feedback_waiting", waiting=report.waiting)
    if verdict.rule == TRAFFIC and verdict.state == "breach":
        yield fact("chance_of_rate", times=1 / (report.chance or CHANCE))


def _too_late(report: TrafficReport, verdict: Verdict) -> Iterator[Fact]:
    yield fact("too_late", share=verdict.value)
    yield fact("too_late_totals", too_late=report.too_late, in_time=report.feedback)
    retention = verdict.evidence.get("retention")
    if isinstance(retention, int | float):
        yield fact("retention", kept=retention)


def _volume(volume: Volume | None, pane: float) -> Iterator[Fact]:
    if volume is None:  # then no rule has judged the volume
        return
    kind = "volume_by_days" if volume.days else "volume_of_rate" if volume.found else "volume_before"
    yield fact(kind, recent=volume.recent, span=volume.panes * pane, expected=volume.expected, days=volume.days)


def monitor_facts(report: MonitorReport, verdict: Verdict) -> Iterator[Fact]:
    """Yield the numbers that the worker of a partition reports about it."""
    standing = report.partitions[str(verdict.evidence["partition"])]
    if verdict.subject.startswith("lag"):
        yield fact("behind", seconds=standing.behind_seconds or 0.0, threshold=verdict.threshold)
        yield from counted("to_be_read", standing.lag)
    else:
        yield fact("dead_letters_read", dead=standing.dead_letters, n=standing.n)
        yield from counted("dead_letters_of_worker", report.dead_letters)
    yield fact("reported_by", worker=report.worker)


def counted(kind: str, counts: dict[str, int]) -> Iterator[Fact]:
    """Yield a fact for each of the largest counts, by name."""
    for name, count in sorted(counts.items(), key=lambda item: -item[1])[:MOST]:
        yield fact(kind, name=name, count=count)
