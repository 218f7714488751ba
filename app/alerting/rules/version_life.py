"""Life of a model version: when it is recorded as serving, and when a newer version has taken its traffic. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import sqrt
from typing import Protocol

from app.alerting.rules.service_rules import TRAFFIC
from app.alerting.rules.verdict import Verdict
from topics.events import TrafficReport, VersionEvent

NEWEST = 12
"""Divisor of a window's panes: the newest twelfth of them gives the current rate of predictions."""
CHANGED = 2.0
"""Factor by which the rate must differ from the recorded rate before the rate is recorded again."""
TAKEN = 0.5
"""Share of the older version's lost traffic that newer versions must get, for the traffic to count as moved."""


class Lives(Protocol):
    """Access to the newest events of the versions."""

    def get(self, model: str, version: str) -> VersionEvent | None:
        """Return the newest event of one model version; None where none is known."""

    def of(self, model: str) -> list[VersionEvent]:
        """Return the newest event of each version of a model."""


class NoLives:
    """A `Lives` that knows no version."""

    def get(self, model: str, version: str) -> VersionEvent | None:
        """Return None."""
        return None

    def of(self, model: str) -> list[VersionEvent]:
        """Return an empty list."""
        return []


def noted(report: TrafficReport, known: VersionEvent | None) -> VersionEvent | None:
    """Return the new event of a version that gets predictions; None where nothing has changed.

    A version that was retired because of its traffic is served again. A version that was retired by the command is not.
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
    """Return the rate in the newest panes, in predictions per second."""
    seconds = _newest_seconds(report)
    return sum(report.counts[-_newest(report) :]) / seconds if seconds > 0.0 else 0.0


def _newest(report: TrafficReport) -> int:
    return max(1, len(report.counts) // NEWEST)


def _newest_seconds(report: TrafficReport) -> float:
    return (report.window_end - report.window_start).total_seconds() / max(len(report.counts), 1) * _newest(report)


def _changed(rate: float, known: float, seconds: float) -> bool:
    """Return whether a rate has changed: by a factor, and by more than chance (four standard deviations of a
    Poisson).
    """
    most, least = max(rate, known), min(rate, known)
    return most >= CHANGED * least and (most - least) * seconds > 4.0 * sqrt(most * seconds)


def usual_rate(report: TrafficReport) -> float:
    """Return the rate before the predictions stopped or dropped, in predictions per second."""
    pane = (report.window_end - report.window_start).total_seconds() / max(len(report.counts), 1)
    return report.usual / pane if pane > 0.0 else 0.0


def newer_of(report: TrafficReport, own: VersionEvent | None, lives: Iterable[VersionEvent]) -> list[VersionEvent]:
    """Return the versions of the model that are serving and began after this one."""
    if own is None:
        return []
    others = [one for one in lives if one.model_version != report.model_version and one.status == "serving"]
    return [one for one in others if one.since > own.since]


def moved(verdict: Verdict, report: TrafficReport, newer: Iterable[VersionEvent]) -> tuple[Verdict, str]:
    """Return the verdict on traffic in view of newer versions, and the version that has taken all traffic, else "".

    Traffic that has moved to newer versions is neither a stop nor a drop. Where any newer version is serving, a breach
    takes as many windows as the rule says. How the traffic is divided is known a moment later.
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
    """Return the event that retires a version whose traffic a newer version has taken."""
    return VersionEvent(
        model=report.model, model_version=report.model_version, status="retired", since=report.window_end,
        reason=f"version {by_version} has taken its traffic",
    )  # fmt: skip


def words(event: VersionEvent) -> str:
    """Return the reason why a retired version's alerts are resolved, as text."""
    return f"the version is retired: {event.reason}" if event.reason else "the version is retired"
