"""A column that changes as its model is deployed: every alert of the incident says so, and no other does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from agents.alerts.agent import AlertsAgent
from app.alerting.events.deployments import AFTER, BEFORE, DeploymentChange, changes_of, since_when
from app.core.config.monitoring import Monitoring, Windows
from app.faust_batches.batch import Batch
from tests.support.live_world import BEGIN, LiveWorld, good
from tests.support.outputs import KeptOutput
from tests.support.reports import records_of
from topics.events import DeploymentEvent, DriftReport, ScaleFinding, VersionEvent
from topics.registry import REPORTS

LOST = 900.0
"""Seconds after the beginning from which on `weight` is null."""


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(BEGIN + seconds, UTC)


def deployed(seconds: float, version: str = "3", **more: Any) -> DeploymentEvent:
    given = {"source": "external", "model": "m", "model_version": version, "deployed_at": moment(seconds), **more}
    return DeploymentEvent(**given)


class Known:
    """Deployments, or lives, as the views have them."""

    def __init__(self, *events: Any) -> None:
        self.events = events

    def of(self, model: str) -> list[Any]:
        return [one for one in self.events if one.model == model]

    def get(self, model: str, version: str) -> Any:
        return next((one for one in self.of(model) if one.model_version == version), None)


@pytest.fixture(scope="module")
def reports() -> list[Any]:
    """Of a stream whose feature `weight` is lost at LOST."""
    world = LiveWorld(Monitoring(windows=Windows(pane=60, panes=10)), step=20.0, lost_from=LOST)
    world.serve(good(random.Random(5), 1500.0, 1.0, 1.0, None), 1500.0)
    return world.reports


async def messages(reports: Sequence[Any], deployments: Known, lives: Known | None = None) -> dict[str, str]:
    """Return the first message of each rule that fired."""
    agent = AlertsAgent({}, lambda *_: Monitoring(), deployments=deployments, lives=lives)
    out = KeptOutput()
    await agent.handle(Batch(REPORTS, 0, records_of(reports)), out)
    assert out.rejected == []
    return {alert.rule: alert.message for alert in reversed(out.alerts()) if alert.status == "firing"}


async def test_what_is_null_since_a_deployment_says_so_in_its_alert(reports: list[Any]) -> None:
    found = await messages(reports, Known(deployed(LOST - 45)))
    assert found
    line = "Likely cause: weight: all values are missing (0% before), since the deployment of version 3 at "
    for rule, message in found.items():
        assert f"\n{line}{moment(LOST - 45):%Y-%m-%d %H:%M} UTC.\n" in message, rule


@pytest.mark.parametrize(
    "other",
    [deployed(LOST - 3600), deployed(LOST + 700), deployed(LOST, source="register"), deployed(LOST, model="another")],
)
async def test_of_other_deployments_nothing_is_said(reports: list[Any], other: DeploymentEvent) -> None:
    found = await messages(reports, Known(other))
    assert found
    for message in found.values():
        assert "Likely cause: weight: all values are missing (0% before): a join, a source or a deployment" in message


async def test_a_version_that_is_new_is_named_though_nobody_reports_deployments(reports: list[Any]) -> None:
    life = VersionEvent(model="m", model_version="4", status="serving", since=moment(LOST + 60))
    found = await messages(reports, Known(), Known(life))
    assert all(f"since the first predictions of version 4 at {moment(LOST + 60):%Y-%m-%d %H:%M} UTC." in one
               for one in found.values())  # fmt: skip
    found = await messages(reports, Known(deployed(LOST - 45, "4", status="canary\n 10%")), Known(life))
    assert all("since the deployment of version 4 (canary 10%) at" in one for one in found.values())
    retired = msgspec.structs.replace(life, status="retired")
    assert "since" not in next(iter((await messages(reports, Known(), Known(retired))).values()))


def finding(reports: Sequence[Any]) -> ScaleFinding:
    lost = [r for r in reports if isinstance(r, DriftReport) and r.scales is not None]
    return next(one for r in lost if r.scales for one in r.scales.found if one.fault == "missing")


def test_the_nearest_of_several_changes_is_named_and_of_a_slow_column_none(reports: list[Any]) -> None:
    found = finding(reports)
    assert found.earliest is not None
    assert found.latest is not None
    assert found.earliest <= moment(LOST) <= found.latest
    several = [
        DeploymentChange(moment(LOST + seconds), f"the deployment of version {seconds}") for seconds in (-600, -60, 240)
    ]
    assert since_when(found, several).startswith("since the deployment of version -60 at ")
    edges = [found.earliest - BEFORE, found.latest + AFTER]
    for edge, beyond in zip(edges, (-1, 1), strict=True):
        assert since_when(found, [DeploymentChange(edge, "the deployment of version 1")])
        assert not since_when(
            found, [DeploymentChange(edge + timedelta(seconds=beyond), "the deployment of version 1")]
        )
    assert not since_when(msgspec.structs.replace(found, slow=True), several)
    assert not since_when(msgspec.structs.replace(found, since=None), several)
    assert changes_of("other", Known(deployed(0)), Known()) == []
