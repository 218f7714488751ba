"""What has most likely been done to the data, said in every alert of an incident."""

from __future__ import annotations

from collections.abc import Sequence

from app.alerting.events.deployments import DeploymentChange, since_when
from app.alerting.events.text import fact
from app.alerting.rules.model_rules import effect_of
from app.alerting.rules.newest_panes import found_in
from topics.events import Cause, DriftReport, Fact

MAX_CAUSES = 3
"""Columns whose cause a message says; the report has all."""
FAULTS = ("missing", "type", "unseen", "distribution")
"""What is found of a column, the most telling first."""


def causes_of(report: DriftReport, changes: Sequence[DeploymentChange] = ()) -> tuple[Fact, ...]:
    """Return a fact for each column whose cause is known, the worst first: of the newest panes, else of the window.

    `changes`: of the model; one that came as a column changed is named with its cause.
    """
    found: dict[str, Fact] = {}
    names = [feature.name for feature in report.features]
    for fault in FAULTS:
        for one in found_in(report, fault, names):
            if one.cause is not None:
                found.setdefault(one.name, _cause(one.name, one.cause, since_when(one, changes)))
    for feature in sorted(report.features, key=lambda feature: (-effect_of(feature), feature.name)):
        if feature.cause is not None:
            found.setdefault(feature.name, _cause(feature.name, feature.cause))
    return tuple(found.values())


def differs(report: DriftReport) -> bool:
    """Whether anything is known to differ of any feature."""
    scales = report.scales
    if any(feature.drifted or feature.missing_rises or feature.unseen_rises for feature in report.features):
        return True
    names = {feature.name for feature in report.features}
    return scales is not None and any(one.name in names for one in scales.found)


def shown(causes: Sequence[Fact]) -> tuple[Fact, ...]:
    """Return what a message says of them."""
    more = [fact("more_causes", count=len(causes) - MAX_CAUSES)] if len(causes) > MAX_CAUSES else []
    return (*causes[:MAX_CAUSES], *more)


def _cause(name: str, cause: Cause, since: str = "") -> Fact:
    """Return the cause of a column's change. `since`: what happened to the model at the same time, if anything did.

    Of missing values that takes the place of the places where they are usually lost.
    """
    if not since:
        return fact("cause", name=name, words=cause.words)
    words = cause.words.partition(": ")[0] if cause.kind == "missing" else cause.words
    return fact("cause", name=name, words=f"{words}, {since}")
