"""Alerts into a genuine Alertmanager: they stay while they fire, and end; and what comes out of it is our payload."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.alerting.channels.alertmanager import ENDS_AFTER, EVERY, AlertmanagerChannel
from app.alerting.channels.webhook import payload_of
from app.alerting.notify.channel import Delivered, Permanent, Retryable
from app.alerting.notify.notification import Notification
from app.alerting.rendering.labels import Labelling
from tests.support.alertmanager import alertmanager, alerts_of
from tests.support.notifications import alert, hostile, notification
from tests.support.receivers import Receiver, Request, answering, receiver
from topics.events import AlertEvent

pytestmark = pytest.mark.usefixtures("direct")


class Clock:
    """A clock that is ahead of the real one by as much as a test says."""

    ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Company:
    """An Alertmanager, and the receiver that it notifies."""

    def __init__(self, url: str, told: Receiver, requests: asyncio.Queue[Request]) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self.told = told
        self._requests = requests

    async def notified(self) -> Any:
        """The next notification that comes out of it."""
        async with asyncio.timeout(10):
            return msgspec.json.decode((await self._requests.get()).body)


@pytest.fixture
async def company(tmp_path: Path) -> AsyncIterator[Company]:
    requests: asyncio.Queue[Request] = asyncio.Queue()

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        requests.put_nowait(request)
        await answering(200)(request, writer)

    async with receiver(answer) as told, alertmanager(tmp_path / "am", told.origin) as url:
        yield Company(url, told, requests)


def severities(found: list[dict[str, Any]]) -> list[str]:
    return [one["labels"]["severity"] for one in found]


def fires(*alerts: AlertEvent, **changes: Any) -> Notification:
    return notification(*(alerts or (alert(),)), **changes)


async def test_an_alert_is_there_until_its_end_and_its_other_level_takes_its_place(company: Company) -> None:
    labelling = Labelling({"environment": "Production"}, {"error": "page"})
    channel = AlertmanagerChannel([company.url], seconds=5, labelling=labelling)
    before = datetime.now(UTC)
    assert await channel.deliver(fires()) == Delivered("1 of 1 Alertmanagers")
    (found,) = await alerts_of(company.url)
    assert found["labels"] == {
        "alertname": "data_drift", "severity": "page", "instance": "income/3/features", "job": "driftline",
        "service": "income", "environment": "Production", "model": "income", "model_version": "3",
        "rule": "data_drift", "subject": "features",
    }  # fmt: skip
    assert datetime.fromisoformat(found["startsAt"]) == alert().started_at
    assert datetime.fromisoformat(found["endsAt"]) >= before + timedelta(seconds=2 * EVERY)
    first = await company.notified()
    assert (first["status"], first["groupLabels"]) == ("firing", {"alertname": "data_drift", "model": "income"})

    assert isinstance(await channel.deliver(fires(alert("a1", level="critical"))), Delivered)
    assert severities(await alerts_of(company.url)) == ["critical"]
    while (again := await company.notified())["status"] != "firing" or len(again["alerts"]) < 2:
        pass
    assert {one["labels"]["severity"]: one["status"] for one in again["alerts"]} == {
        "critical": "firing", "page": "resolved"
    }  # fmt: skip

    over = alert("a1", level="critical", status="resolved", ended_at=datetime.now(UTC) - timedelta(minutes=3))
    assert isinstance(await channel.deliver(fires(over)), Delivered)
    assert await alerts_of(company.url) == []
    assert (await company.notified())["status"] == "resolved"


async def test_a_channel_that_knows_nothing_ends_what_alertmanager_has_of_another_level(company: Company) -> None:
    """As after a restart of the worker between the two levels, and between level and end."""
    quoted = {**alert().labels, "subject": 'a "b" \\ c', "model": 'x"y\\z'}
    other = alert("b1", labels={**alert().labels, "subject": "age"})
    first, second = alert(labels=quoted), alert(labels=quoted, level="critical")
    for told in (fires(first, labels=quoted), fires(other), fires(second, labels=quoted)):
        assert isinstance(await AlertmanagerChannel([company.url], seconds=5).deliver(told), Delivered)
    assert {(one["labels"]["subject"], one["labels"]["severity"]) for one in await alerts_of(company.url)} == {
        ("age", "error"), ('a "b" \\ c', "critical")
    }  # fmt: skip
    over = alert(labels=quoted, level="warning", status="resolved", ended_at=datetime.now(UTC))
    assert isinstance(await AlertmanagerChannel([company.url], seconds=5).deliver(fires(over)), Delivered)
    assert [one["labels"]["subject"] for one in await alerts_of(company.url)] == ["age"]


async def test_what_fires_is_sent_again_every_minute_to_an_alertmanager_that_lost_it(
    company: Company, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, asked = Clock(), list[int]()
    many = [alert(f"{i:04}", labels={**alert().labels, "subject": f"f{i}"}) for i in range(450)]

    def firing() -> list[AlertEvent]:
        asked.append(1)
        return many

    channel = AlertmanagerChannel([company.url], seconds=5, now=clock)
    channel.keep(0, firing)
    await asyncio.wait(channel._tasks)
    ends = {one["endsAt"] for one in await alerts_of(company.url)}
    assert len(await alerts_of(company.url)) == 450
    channel.keep(0, firing)
    assert (len(asked), len(channel._tasks)) == (1, 0), "it was sent less than a minute ago"

    async with alertmanager(tmp_path / "new", company.told.origin) as new:
        channel._urls = [f"{new}/api/v2/alerts"]
        assert await alerts_of(new) == []
        clock.ahead = timedelta(seconds=EVERY)
        channel.keep(1, list)
        channel.keep(0, firing)
        await asyncio.wait(channel._tasks)
        found = await alerts_of(new)
    assert len(found) == 450
    assert min(one["endsAt"] for one in found) > max(ends)
    clock.ahead = timedelta(seconds=2 * EVERY)
    channel.keep(0, firing)
    await asyncio.wait(channel._tasks)
    assert "450 alerts that fire were not sent to Alertmanager again: http://127.0.0.1" in caplog.text
    assert ENDS_AFTER >= 3 * EVERY, "two requests may be lost"


async def test_the_watchdog_fires_though_nothing_else_does_and_comes_from_one_worker(company: Company) -> None:
    clock = Clock()
    channel = AlertmanagerChannel([company.url], seconds=5, now=clock, watchdog=True)
    channel.keep(1, list)
    assert channel._tasks == set()
    channel.keep(0, list)
    await asyncio.wait(channel._tasks)
    (found,) = await alerts_of(company.url)
    assert found["labels"] == {
        "alertname": "watchdog", "severity": "none", "job": "driftline", "service": "driftline",
        "instance": "driftline/watchdog",
    }  # fmt: skip
    assert datetime.fromisoformat(found["endsAt"]) > datetime.now(UTC) + timedelta(seconds=2 * EVERY)


async def test_each_of_several_has_it_and_one_that_is_away_keeps_nothing_back(company: Company, tmp_path: Path) -> None:
    async with (
        alertmanager(tmp_path / "other", company.told.origin) as other,
        receiver(answering(503, b"secret-token", Retry_After="7")) as ill,
    ):
        headers = {"Authorization": "Bearer secret-token"}
        channel = AlertmanagerChannel(
            [f"{company.url}/", f"{other}/api/v2/alerts", ill.origin], seconds=5, headers=headers
        )
        outcome = await channel.deliver(fires())
        assert outcome == Delivered(f"2 of 3 Alertmanagers; {ill.origin}/… HTTP 503 (…)")
        assert severities(await alerts_of(company.url)) == severities(await alerts_of(other)) == ["error"]
        assert {request.headers["authorization"] for request in ill.requests} == {"Bearer secret-token"}
        away = await AlertmanagerChannel([ill.origin, ill.origin], seconds=5).deliver(fires())
        assert isinstance(away, Retryable)
        assert away.after == 7.0


async def test_alertmanager_takes_whatever_we_send(company: Company) -> None:
    odd = alert("odd", labels={"model": "driftline", "rule": "monitor", "topic": "predictions"}, links={})
    late = alert("late", started_at=datetime.now(UTC) + timedelta(days=1))
    end = alert("end", status="resolved", started_at=late.started_at, ended_at=late.started_at)
    for told in (hostile(), fires(odd, late), fires(end), notification(firing=(), resolved=())):
        outcome = await AlertmanagerChannel([company.url], seconds=5).deliver(told)
        assert isinstance(outcome, Delivered), outcome
    async with receiver(answering(400, b'"bad labels"')) as found:
        refused = await AlertmanagerChannel([found.origin], seconds=5).deliver(fires())
    assert isinstance(refused, Permanent)
    assert "bad labels" in refused.reason
    assert "alertmanager_urls" in refused.reason


async def test_our_own_payload_has_what_a_genuine_one_has(company: Company) -> None:
    """Alertmanager's own webhook of the same alert, member for member."""
    await AlertmanagerChannel([company.url], seconds=5).deliver(fires())
    theirs = await company.notified()
    ours = msgspec.json.decode(msgspec.json.encode(payload_of(fires(group_labels={"model": "income"}), Labelling())))
    assert ours.keys() == theirs.keys()
    assert ours["alerts"][0].keys() == theirs["alerts"][0].keys()
    assert ours["alerts"][0]["labels"] == theirs["alerts"][0]["labels"]
    assert ours["alerts"][0]["annotations"] == theirs["alerts"][0]["annotations"]
    assert ours["commonLabels"] == theirs["commonLabels"]
    assert (ours["version"], ours["status"]) == (theirs["version"], theirs["status"])
    assert theirs["alerts"][0]["endsAt"] == ours["alerts"][0]["endsAt"]


def test_nothing_of_it_is_logged_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    channel = AlertmanagerChannel(["http://user:secret-word@127.0.0.1:1"], seconds=1)
    assert "secret-word" not in f"{channel!r} {caplog.text}"
