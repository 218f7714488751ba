"""Changes of a model at the time when a column changed: reported deployments, and versions with their first
predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from app.alerting.rules.version_life import Lives
from topics.events import DeploymentEvent, ScaleFinding

BEFORE, AFTER = timedelta(minutes=15), timedelta(minutes=10)
"""Longest times by which the report of a deployment may precede the first changed pane, and follow that pane.

A deployment takes a while to reach all requests, and may be reported only when it is done.
"""


class Deployments(Protocol):
    """Access to the known deployments of models."""

    def of(self, model: str) -> Sequence[DeploymentEvent]:
        """Return the newest deployments of a model."""


class NoDeployments:
    """A `Deployments` that knows no deployment."""

    def of(self, model: str) -> Sequence[DeploymentEvent]:
        """Return an empty sequence."""
        return ()


class DeploymentChange(NamedTuple):
    """A change of a model, in the words that follow "since" in a message."""

    at: datetime
    words: str


def changes_of(model: str, deployments: Deployments, lives: Lives) -> list[DeploymentChange]:
    """Return the deployments of a model and the first predictions of its versions, in no order.

    A registration is not a deployment: it changes only what is monitored.
    """
    reported = [
        DeploymentChange(one.deployed_at, f"the deployment of version {one.model_version}{_standing(one.status)}")
        for one in deployments.of(model)
        if one.source != "register"
    ]
    begun = [
        DeploymentChange(one.since, f"the first predictions of version {one.model_version}")
        for one in lives.of(model)
        if one.status == "serving"
    ]
    return [*reported, *begun]


def since_when(found: ScaleFinding, changes: Sequence[DeploymentChange]) -> str:
    """Return "since the deployment of version 3 at ..." where a change of the model coincides with the column's change.

    Returns an empty string where no change coincides, where the time of the column's change is unknown, and for a slow
    change. Of several changes the nearest one is named; a deployment comes before the first predictions of a version.
    """
    if found.slow or found.since is None or found.earliest is None or found.latest is None:
        return ""
    first, last, since = found.earliest - BEFORE, found.latest + AFTER, found.since
    near = [one for one in changes if first <= one.at <= last]
    deployed = [one for one in near if one.words.startswith("the deployment")]
    best = min(deployed or near, key=lambda one: abs(one.at - since), default=None)
    return "" if best is None else f"since {best.words} at {best.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _standing(status: str) -> str:
    """Return the status of a deployment as it was reported, in parentheses; empty where the status is active."""
    plain = " ".join(status.split())
    return "" if plain == "active" else f" ({plain})"
