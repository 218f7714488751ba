"""What others send and report, the whole way: an alert to a webhook and its end; a training and a deployment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from app.cli import app
from app.core.config.routes import Route
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.api import client_of, ready
from tests.support.receivers import Receiver, receiver
from tests.support.recorder import RECORDER
from tests.support.run_command import typed_with
from tests.support.stream import worker
from tests.support.waiting import until
from tests.support.worker_process import log_of

LOAD = {
    "title": "load failed", "message": "orders is empty", "level": "error", "dedupe_key": "load",
    "metadata": {"table": "orders"}, "model": "churn",
}  # fmt: skip
RUN = {
    "model": "churn", "model_version": "4", "run_id": "r1", "metrics": {"f1_score": 0.8}, "is_retraining": True,
    "metadata": {"commit": "3f2a"},
}  # fmt: skip


BOTH = ["firing", "resolved"]


def alerts_of(hook: Receiver, subject: str) -> list[dict[str, Any]]:
    """What the webhook was sent of an alert, in order."""
    alerts = [alert for request in hook.requests for alert in json.loads(request.body)["alerts"]]
    return [alert for alert in alerts if alert["labels"]["subject"] == subject]


def told(hook: Receiver, subject: str) -> list[str]:
    """The states that it was sent."""
    return [alert["status"] for alert in alerts_of(hook, subject)]


async def rows(client: httpx.AsyncClient, of: str, enough: Callable[[list[Any]], bool], **asked: str) -> list[Any]:
    """A list of the history, once it has what it is to have."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get(f"/history/{of}", params=asked)
            if answer.status_code == 200 and enough(answer.json()[of]):
                return list(answer.json()[of])
            await asyncio.sleep(0.1)


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("direct")
async def test_what_others_send_is_notified_recorded_and_read_back(settings: Settings) -> None:
    async with receiver() as hook, client_of(settings) as client:
        settings = settings.model_copy(
            update={
                "webhook_url": SecretStr(f"{hook.origin}/hook"), "routes": (Route(channels=("webhook",)),),
                "group_wait_seconds": 0.1, "group_interval_seconds": 0.1, "session_seconds": 2.0,
            }
        )  # fmt: skip
        await ensure_topics(settings)
        with worker(settings), worker(settings, "recorder", RECORDER):
            await ready(client)
            sent = await client.post("/alerts", json=LOAD)
            assert (sent.status_code, (await client.post("/alerts", json=LOAD)).status_code) == (201, 200)
            once = await typed_with(settings, "alerts", "send", "--title", "one", "--expires-after", "1s", "--json")
            subject = json.loads(once.stdout)["labels"]["subject"]
            assert await until(lambda: told(hook, "load") == BOTH[:1], 60), log_of(settings)
            (alert,) = alerts_of(hook, "load")
            assert (alert["labels"]["alertname"], alert["labels"]["model"]) == ("external", "churn")
            assert "table: orders" in alert["annotations"]["description"]
            end = ("alerts", "send", "--dedupe-key", "load", "--model", "churn", "--resolved", "--json")
            assert json.loads((await typed_with(settings, *end)).stdout)["status"] == "resolved"
            assert await until(lambda: told(hook, "load") == BOTH, 60), log_of(settings)
            assert (await typed_with(settings, *end)).stdout.strip()  # again: it is resolved already
            assert await until(lambda: told(hook, subject) == BOTH, 60), log_of(settings)
            assert (await client.post("/training-runs", json=RUN)).status_code == 201
            failed = ("training-runs", "add", "--model", "churn", "--version", "5", "--status", "failed", "--json")
            assert json.loads((await typed_with(settings, *failed)).stdout)["status"] == "failed"
            deployed = {"model": "churn", "model_version": "4", "environment": "production"}
            assert (await client.post("/deployments", json=deployed)).status_code == 201
            added = await typed_with(
                settings, "deployments", "add", "--model", "churn", "--version", "4", "--environment", "production",
                "--status", "rolled back", "--metadata", "by=ada",
            )  # fmt: skip
            assert added.stdout.startswith("added churn 4 (rolled back)")
            runs = await rows(client, "training", lambda found: len(found) == 2)
            assert {(run["model_version"], run["status"], run["is_retraining"]) for run in runs} == {
                ("4", "completed", True), ("5", "failed", False),
            }  # fmt: skip
            deployments = await rows(client, "deployments", lambda found: len(found) == 2, environment="production")
            assert [one["status"] for one in deployments] == ["rolled back", "active"]
            alerts = await rows(client, "alerts", lambda found: len(found) == 4, rule="external")
            assert [one["status"] for one in alerts if one["model"] == "churn"] == ["resolved", "firing"]
            assert alerts[-1]["evidence"] == {"metadata": {"table": "orders"}}
            delivered = await rows(client, "deliveries", lambda found: len(found) == 4)
            assert {(one["channel"], one["outcome"]) for one in delivered} == {("webhook", "delivered")}
    for asked, expected in (
        (("training", "--retraining"), {"run_id": "r1", "metrics": {"f1": 0.8}}),
        (("deployments", "--status", "rolled back"), {"source": "external", "metadata": {"by": "ada"}}),
    ):
        shown = CliRunner().invoke(app, ["history", *asked, "--state-dir", str(settings.state_dir), "--json"])
        assert json.loads(shown.stdout).items() >= expected.items()
