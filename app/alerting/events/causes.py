"""What has most likely been done to the data, said in every alert of an incident."""

from __future__ import annotations

from collections.abc import Sequence

from app.alerting.rules.model_rules import effect_of
from app.alerting.rules.newest_panes import found_in
from topics.events import Cause, DriftReport

MAX_CAUSES = 3
"""Columns whose cause a message says; the report has all."""
FAULTS = ("missing", "type", "unseen", "distribution")
"""What is found of a column, the most telling first."""
NO_FEATURE = (
    "No feature differs from the reference: look at the model itself first (a new deployment, its threshold, "
    "what it reads beside these features)."
)


def causes_of(report: DriftReport) -> tuple[str, ...]:
    """Return a line for each column whose cause is known, the worst first: of the newest panes, else of the window."""
    found: dict[str, str] = {}
    names = [feature.name for feature in report.features]
    for fault in FAULTS:
        for one in found_in(report, fault, names):
            if one.cause is not None:
                found.setdefault(one.name, _line(one.name, one.cause))
    for feature in sorted(report.features, key=lambda feature: (-effect_of(feature), feature.name)):
        if feature.cause is not None:
            found.setdefault(feature.name, _line(feature.name, feature.cause))
    return tuple(found.values())


def differs(report: DriftReport) -> bool:
    """Whether anything is known to differ of any feature."""
    scales = report.scales
    if any(feature.drifted or feature.missing_rises or feature.unseen_rises for feature in report.features):
        return True
    names = {feature.name for feature in report.features}
    return scales is not None and any(one.name in names for one in scales.found)


def told(causes: Sequence[str]) -> list[str]:
    """Return the lines that a message has."""
    more = (
        [f"Likely causes of {len(causes) - MAX_CAUSES} more features are in the report."]
        if len(causes) > MAX_CAUSES
        else []
    )
    return [*causes[:MAX_CAUSES], *more]


def _line(name: str, cause: Cause) -> str:
    return f"{cause_start(name)}{cause.words}."


def cause_start(name: str) -> str:
    """Return what a line about a column begins with."""
    return f"Likely cause: {name}: "
