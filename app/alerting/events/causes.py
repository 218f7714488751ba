"""Likely causes of changes in the data, for every alert of an incident."""

from __future__ import annotations

from collections.abc import Sequence

from app.alerting.events.deployments import DeploymentChange, since_when
from app.alerting.events.text import fact
from app.alerting.rules.model_rules import effect_of
from app.alerting.rules.newest_panes import found_in
from topics.events import Cause, DriftReport, Fact

MAX_CAUSES = 3
"""Number of columns whose cause a message names. The report has all causes."""
FAULTS = ("missing", "type", "unseen", "distribution")
"""Faults of a column, the most informative first."""


def causes_of(report: DriftReport, changes: Sequence[DeploymentChange] = ()) -> tuple[Fact, ...]:
    """Return a fact for each column whose cause is known, the worst first: from the newest panes, else from the window.

    `changes`: changes of the model. A change that coincides with a column's change is named with the column's cause.
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
    """Return whether any feature differs from the reference."""
    scales = report.scales
    if any(feature.drifted or feature.missing_rises or feature.unseen_rises for feature in report.features):
        return True
    names = {feature.name for feature in report.features}
    return scales is not None and any(one.name in names for one in scales.found)


def shown(causes: Sequence[Fact]) -> tuple[Fact, ...]:
    """Return the causes that a message names, and the number of the others."""
    more = [fact("more_causes", count=len(causes) - MAX_CAUSES)] if len(causes) > MAX_CAUSES else []
    return (*causes[:MAX_CAUSES], *more)


def _cause(name: str, cause: Cause, since: str = "") -> Fact:
    """Return the cause of a column's change. `since`: what happened to the model at the same time, if anything did.

    For missing values, `since` replaces the list of places where values are usually lost.
    """
    if not since:
        return fact("cause", name=name, words=cause.words)
    words = cause.words.partition(": ")[0] if cause.kind == "missing" else cause.words
    return fact("cause", name=name, words=f"{words}, {since}")
