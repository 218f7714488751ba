"""What of a model changed when one of its columns did: deployments that were reported, and versions that were new."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from app.alerting.rules.version_life import Lives
from topics.events import DeploymentEvent, ScaleFinding

BEFORE, AFTER = timedelta(minutes=15), timedelta(minutes=10)
"""A deployment may be reported so long before the first changed pane begins (it takes a while until all requests reach
what was deployed), and so long after the first changed pane (it is reported when it is done)."""


class Deployments(Protocol):
    """What is known of the deployments of models."""

    def of(self, model: str) -> Sequence[DeploymentEvent]:
        """Return the newest deployments of a model."""


class NoDeployments:
    """Nothing is known of any deployment."""

    def of(self, model: str) -> Sequence[DeploymentEvent]:
        """Return nothing."""
        return ()


class DeploymentChange(NamedTuple):
    """Something that happened to a model, as a message names it after "since"."""

    at: datetime
    words: str


def changes_of(model: str, deployments: Deployments, lives: Lives) -> list[DeploymentChange]:
    """Return the deployments of a model, and when its versions got their first predictions. In no order.

    A registration is no deployment: nothing but what is watched changes by it.
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
    """Return "since the deployment of version 3 at ..." where a change of the model came as the column changed.

    Empty where none did, where it is not known when the column changed, and of a column that changes slowly. Of several
    changes the one nearest to the column's is named; a deployment before the first predictions of a version.
    """
    if found.slow or found.since is None or found.earliest is None or found.latest is None:
        return ""
    first, last, since = found.earliest - BEFORE, found.latest + AFTER, found.since
    near = [one for one in changes if first <= one.at <= last]
    deployed = [one for one in near if one.words.startswith("the deployment")]
    best = min(deployed or near, key=lambda one: abs(one.at - since), default=None)
    return "" if best is None else f"since {best.words} at {best.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _standing(status: str) -> str:
    """How a deployment stands, in the words of whoever reported it, where that is not simply active."""
    plain = " ".join(status.split())
    return "" if plain == "active" else f" ({plain})"
