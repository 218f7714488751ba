"""Alerts of traffic, feedback and the monitor itself in plain words: titles, and lines of numbers."""

from __future__ import annotations

from collections.abc import Iterator

from app.alerting.service_rules import FEEDBACK, TRAFFIC
from app.alerting.verdict import Verdict
from topics.events import MonitorReport, TrafficReport

MOST = 5
"""Topics or reasons that are told."""

SERVICE = {
    (TRAFFIC, "stopped"): ("no predictions come any more", "predictions come again"),
    (TRAFFIC, "volume"): ("predictions have dropped suddenly", "the volume of predictions is steady again"),
    (FEEDBACK, "stopped"): ("no feedback comes any more", "feedback comes again"),
    (FEEDBACK, "coverage"): ("fewer predictions get their feedback", "as many predictions get their feedback again"),
}
"""Titles of what fires and of what is over."""


def traffic_lines(report: TrafficReport, verdict: Verdict) -> Iterator[str]:
    """What is seen of traffic and feedback."""
    told = (verdict.rule, verdict.subject)
    if told == (TRAFFIC, "stopped"):
        yield f"None in the last {report.silent} panes; usually there are {report.usual:.4g} in one."
    elif told == (TRAFFIC, "volume"):
        recent, before = verdict.evidence.get("recent"), verdict.evidence.get("before")
        yield f"{recent:.4g} in a pane lately, {before:.4g} before that." if isinstance(recent, float) else "Too few."
    elif told == (FEEDBACK, "stopped"):
        yield f"None for {report.feedback_silent} panes; its longest pause lately was {report.feedback_longest}."
    else:
        told_share = f"{report.coverage:.0%}; usual are {report.usual_coverage:.0%}"
        yield f"Of the window before this one so many have their feedback: {told_share}."


def monitor_lines(report: MonitorReport, verdict: Verdict) -> Iterator[str]:
    """What a worker sees of itself."""
    if verdict.subject.startswith("lag"):
        yield f"It is {report.behind_seconds:.0f} s behind (at most {verdict.threshold:.0f} s)."
        counts, words = report.lag, "to be read"
    else:
        counts, words = report.dead_letters, "dead letters"
    for name, count in sorted(counts.items(), key=lambda item: -item[1])[:MOST]:
        yield f"{name}: {count:,} {words}"
