"""Facts about records that were not counted: how many, why, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from app.alerting.events.service_facts import counted
from app.alerting.events.text import fact
from app.alerting.rules.not_counted import DEAD_LETTERS, UNREGISTERED
from app.alerting.rules.verdict import Verdict
from topics.events import Fact, IntakeReport


def intake_headline(report: IntakeReport, verdict: Verdict, *, firing: bool) -> Fact:
    """Return the headline of an alert that fires or is resolved."""
    over, share = "" if firing else "_over", verdict.value or 0.0
    if verdict.rule == DEAD_LETTERS:
        topic = report.topic if report.profile_id else f"{report.topic} that name no registered model"
        return fact(f"dead_letters{over}", share=share, topic=topic)
    return fact(f"{verdict.rule}{over}", share=share, topic=report.topic)


def intake_facts(report: IntakeReport, verdict: Verdict) -> Iterator[Fact]:
    """Yield how many records were not counted, why, and what to do."""
    breach, threshold = verdict.state == "breach", verdict.threshold
    if verdict.rule == DEAD_LETTERS:
        yield fact("set_aside", of=report.recent, some=report.recent_dead, threshold=threshold)
        yield from counted("dead_letters", report.dead_letters)
        if breach:
            if report.last_offset is not None:
                yield fact(
                    "last_dead_letter", topic=report.topic, partition=report.partition, offset=report.last_offset,
                    reason=report.last_reason,
                )  # fmt: skip
            yield fact("mend_producer")
    elif verdict.rule == UNREGISTERED:
        yield fact("unregistered", of=report.recent, some=report.recent_unregistered, threshold=threshold)
        yield from counted("dead_letters", report.unregistered)
        if breach:
            yield fact("register")
    else:
        yield fact("unmatched", of=report.settled, some=report.unmatched, threshold=threshold)
        if breach:
            yield fact("unmatched_ids")
