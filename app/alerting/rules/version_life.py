"""A version's life: when it is noted as served, and when a newer version has taken its traffic. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import sqrt
from typing import Protocol

from app.alerting.rules.service_rules import TRAFFIC
from app.alerting.rules.verdict import Verdict
from topics.events import TrafficReport, VersionEvent

NEWEST = 12
"""The newest twelfth of a window's panes says how many predictions come lately."""
CHANGED = 2.0
"""By this factor the rate has changed since it was noted, so that it is noted again."""
TAKEN = 0.5
"""A newer version has taken the traffic when it gets at least so much of what the older one has lost."""


class Lives(Protocol):
    """What is known of the versions' lives."""

    def get(self, model: str, version: str) -> VersionEvent | None:
        """Of one model version; None where that is nothing."""

    def of(self, model: str) -> list[VersionEvent]:
        """Of each version of a model."""


class NoLives:
    """Nothing is known of any version."""

    def get(self, model: str, version: str) -> VersionEvent | None:
        """Return nothing."""
        return None

    def of(self, model: str) -> list[VersionEvent]:
        """Return nothing."""
        return []


def noted(report: TrafficReport, known: VersionEvent | None) -> VersionEvent | None:
    """What is new of a version that gets predictions; None where that is nothing.

    One that was retired by the traffic is served again. One that was retired by the command is not.
    """
    rate = rate_of(report)
    if report.silent or rate <= 0.0 or (known is not None and known.status == "retired" and known.by == "command"):
        return None
    served = known is not None and known.status == "serving"
    if known is not None and not served and report.window_end <= known.since:
        return None
    if served and known is not None and not _changed(rate, known.rate, _newest_seconds(report)):
        return None
    since = known.since if served and known is not None else report.window_end
    return VersionEvent(
        model=report.model, model_version=report.model_version, status="serving", since=since, rate=rate
    )


def rate_of(report: TrafficReport) -> float:
    """The predictions of a second, in the newest panes."""
    seconds = _newest_seconds(report)
    return sum(report.counts[-_newest(report) :]) / seconds if seconds > 0.0 else 0.0


def _newest(report: TrafficReport) -> int:
    return max(1, len(report.counts) // NEWEST)


def _newest_seconds(report: TrafficReport) -> float:
    return (report.window_end - report.window_start).total_seconds() / max(len(report.counts), 1) * _newest(report)


def _changed(rate: float, known: float, seconds: float) -> bool:
    """Whether a rate is another one: by a factor, and by more than chance (four standard deviations of a Poisson)."""
    most, least = max(rate, known), min(rate, known)
    return most >= CHANGED * least and (most - least) * seconds > 4.0 * sqrt(most * seconds)


def usual_rate(report: TrafficReport) -> float:
    """The predictions of a second before they stopped or dropped."""
    pane = (report.window_end - report.window_start).total_seconds() / max(len(report.counts), 1)
    return report.usual / pane if pane > 0.0 else 0.0


def newer_of(report: TrafficReport, own: VersionEvent | None, lives: Iterable[VersionEvent]) -> list[VersionEvent]:
    """The versions of the model that began to be served after this one, and are."""
    if own is None:
        return []
    others = [one for one in lives if one.model_version != report.model_version and one.status == "serving"]
    return [one for one in others if one.since > own.since]


def moved(verdict: Verdict, report: TrafficReport, newer: Iterable[VersionEvent]) -> tuple[Verdict, str]:
    """The verdict on traffic where newer versions are served, and the version that has taken all of it, else nothing.

    Traffic that has gone to them is neither a stop nor a drop. Where one is served at all, a breach takes as many
    windows as the rule says: which version gets how much is known a moment later.
    """
    newer = sorted(newer, key=lambda one: -one.rate)
    if verdict.rule != TRAFFIC or verdict.state != "breach" or not newer:
        return verdict, ""
    lost = usual_rate(report) - rate_of(report)
    if sum(one.rate for one in newer) < TAKEN * lost:
        return replace(verdict, sure=False), ""
    evidence = {**verdict.evidence, "moved_to": [one.model_version for one in newer]}
    calm = replace(verdict, state="clear", sure=True, evidence=evidence)
    return calm, newer[0].model_version if verdict.subject == "stopped" else ""


def retired(report: TrafficReport, by_version: str) -> VersionEvent:
    """That a version is retired, whose traffic a newer one has taken."""
    return VersionEvent(
        model=report.model, model_version=report.model_version, status="retired", since=report.window_end,
        reason=f"version {by_version} has taken its traffic",
    )  # fmt: skip


def words(event: VersionEvent) -> str:
    """Why its alerts are resolved."""
    return f"the version is retired: {event.reason}" if event.reason else "the version is retired"
