"""Alerts of what is not counted in plain words: titles, and lines of numbers that say what to do."""

from __future__ import annotations

from collections.abc import Iterator

from app.alerting.rules.not_counted import DEAD_LETTERS, UNREGISTERED
from app.alerting.rules.verdict import Verdict
from topics.events import IntakeReport

MOST = 5
"""Reasons or model versions that are named."""


def intake_title(report: IntakeReport, verdict: Verdict, *, firing: bool) -> str:
    """What fires, or is over."""
    share = f"{verdict.value or 0.0:.0%}"
    if verdict.rule == DEAD_LETTERS:
        what = report.topic if report.profile_id else f"{report.topic} that name no registered model"
        return f"{share} of its newest {what} are dead letters" if firing else f"its {what} can be counted again"
    if verdict.rule == UNREGISTERED:
        if firing:
            return f"{share} of the newest {report.topic} are of model versions that are not registered"
        return f"{report.topic} are of registered model versions again"
    return f"{share} of the newest feedback has no prediction" if firing else "feedback has its predictions again"


def intake_lines(report: IntakeReport, verdict: Verdict) -> Iterator[str]:
    """How many, why, and what to do."""
    threshold = f"at most {verdict.threshold:.0%}" if verdict.threshold is not None else ""
    if verdict.rule == DEAD_LETTERS:
        yield f"Of the newest {report.recent:,} records {report.recent_dead:,} were set aside ({threshold})."
        yield from _most(report.dead_letters, "dead letters")
        if verdict.state == "breach":
            if report.last_offset is not None:
                where = f"{report.topic} partition {report.partition} offset {report.last_offset}"
                yield f"The last of them: {where}, {report.last_reason}"
            yield "Everything else is counted. Mend the producer, then: driftline dead-letters list"
    elif verdict.rule == UNREGISTERED:
        some, of = report.recent_unregistered, report.recent
        yield f"Of the newest {of:,} records {some:,} name a model version that is not registered ({threshold})."
        yield from _most(report.unregistered, "dead letters")
        if verdict.state == "breach":
            yield "Register it, or correct its name; then: driftline dead-letters resend --reason unknown"
    else:
        some, of = report.unmatched, report.settled
        yield f"Of the newest {of:,} records of feedback {some:,} have no prediction ({threshold})."
        if verdict.state == "breach":
            yield "Their ids were never sent, were set aside, or are older than windows.retention."


def _most(counts: dict[str, int], words: str) -> Iterator[str]:
    for name, count in sorted(counts.items(), key=lambda item: -item[1])[:MOST]:
        yield f"{name}: {count:,} {words}"
