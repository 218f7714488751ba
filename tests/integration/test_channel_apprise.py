"""Apprise: several services, each told once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import apprise
import msgspec
import pytest
from apprise.plugins.base import NotifyBase
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.jira import JIRA_API_LOOKUP
from apprise.plugins.opsgenie import OPSGENIE_API_LOOKUP
from apprise.plugins.pagerduty import PAGERDUTY_API_LOOKUP
from hypothesis import given
from hypothesis import strategies as st

from app.alerting.channels.apprise import AppriseChannel
from app.alerting.channels.incidents import KEYS, LONGEST_KEY, key_of
from app.alerting.notify.channel import Delivered, Permanent, Retryable
from tests.support.notifications import alert, notification, resolved
from tests.support.receivers import Answer, Request, answering, breaking_off, in_turn, raw, receiver
from topics.events import Level

pytestmark = pytest.mark.usefixtures("direct")


async def test_every_service_is_told_in_words() -> None:
    async with receiver() as one, receiver() as other:
        urls = f"json://127.0.0.1:{one.port}/a, json://127.0.0.1:{other.port}/b"
        assert await AppriseChannel(urls, seconds=5).deliver(notification()) == Delivered("2 of 2 services")
    body = msgspec.json.decode(one.requests[0].body)
    assert body["title"] == "🔴 [error] income 3: data drift in 1 of 3 features (age)"
    assert "- age: KS distance 0.3" in body["message"]
    assert body["type"] == "failure"
    assert len(other.requests) == 1


async def test_another_attempt_goes_to_the_service_that_has_not_taken_it() -> None:
    async with receiver() as well, receiver(in_turn(answering(503), answering(200))) as ill:
        channel = AppriseChannel(f"json://127.0.0.1:{well.port} json://127.0.0.1:{ill.port}", seconds=5)
        assert await channel.deliver(notification()) == Retryable("JSON (number 2) did not take it: HTTP 503")
        assert isinstance(await channel.deliver(notification()), Delivered)
        assert isinstance(await channel.deliver(resolved()), Delivered)
    assert (len(well.requests), len(ill.requests)) == (2, 3)


async def test_names_in_alerts_call_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Discord and Mattermost take @everyone and @channel from any text."""
    named = alert(title="@everyone <@42> <!channel>: drift", labels={"model": "@channel", "model_version": "@here"})
    async with receiver() as found:
        monkeypatch.setattr(NotifyDiscord, "notify_url", f"{found.origin}/discord")
        urls = f"discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js mmost://127.0.0.1:{found.port}/3ccdd113474722377935511fc85d3dd4"
        assert isinstance(await AppriseChannel(urls, seconds=5).deliver(notification(named)), Delivered)
    said = [request.body.decode() for request in found.requests]
    assert len(said) == 2
    for body in map(msgspec.json.decode, said):
        text = str(body)
        assert "everyone" in text
        assert not re.search(r"@(?:everyone|here|channel|42)|<!", text), text


async def test_a_redirect_is_not_followed() -> None:
    async with receiver() as target, receiver(answering(307, Location=f"{target.origin}/x")) as found:
        outcome = await AppriseChannel(f"json://127.0.0.1:{found.port}", seconds=5).deliver(notification())
    assert isinstance(outcome, Permanent)
    assert target.requests == []


@pytest.mark.parametrize("urls", ["nonsense", "json://127.0.0.1 nothing://of-the-kind/token", " "])
def test_what_is_no_url_of_apprise_is_said_without_repeating_it(urls: str) -> None:
    with pytest.raises(ValueError, match="Apprise") as error:
        AppriseChannel(urls, seconds=5)
    assert "token" not in str(error.value)
    assert "nonsense" not in str(error.value)


async def test_an_answer_that_breaks_off_or_never_comes_is_worth_another_attempt() -> None:
    for answer in (breaking_off(200), breaking_off(500), raw(b"")):
        async with receiver(answer) as found:
            outcome = await AppriseChannel(f"json://127.0.0.1:{found.port}", seconds=5).deliver(notification())
        assert isinstance(outcome, Retryable), outcome
        assert len(found.requests) == 1


NEXT = "income/4"


class Incidents:
    """The incidents of a service as it keeps them: open ones by their key, and all that were ever opened."""

    def __init__(self) -> None:
        self.open: dict[str, dict[str, Any]] = {}
        self.opened: list[str] = []

    def opsgenie(self, request: Request) -> int:
        """Take a request as Opsgenie's Alert API says: an alias opens one alert, and closes it."""
        method, path, _ = request.line.split(" ")
        address = urlsplit(path)
        named = re.fullmatch(r"/v2/alerts/([^/]+)/close", address.path)
        if named is None:
            assert (method, address.path) == ("POST", "/v2/alerts")
            return self._raise(msgspec.json.decode(request.body), "alias")
        assert address.query == "identifierType=alias"
        return self._close(unquote(named[1]))

    def pagerduty(self, request: Request) -> int:
        """Take a request as PagerDuty's Events API v2 says."""
        event = msgspec.json.decode(request.body)
        if event["event_action"] == "resolve":
            return self._close(event["dedup_key"])
        assert event["payload"]["severity"] in {"info", "warning", "error", "critical"}
        assert len(event["payload"]["summary"]) <= 1024, "PagerDuty cuts it there"
        assert "\n" not in event["payload"]["summary"]
        assert "Since 2026-06-01" in event["payload"]["custom_details"]["message"]
        return self._raise(event, "dedup_key")

    def _raise(self, alert: dict[str, Any], key: str) -> int:
        name = alert.get(key) or f"nameless {len(self.opened)}"
        if name not in self.open:
            self.opened.append(name)
        self.open[name] = alert
        return 202

    def _close(self, name: str) -> int:
        if name not in self.open:
            return 404
        del self.open[name]
        return 202

    def answer(self, take: Callable[[Request], int]) -> Answer:
        async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
            await answering(take(request), b'{"requestId": "r1", "result": "taken"}')(request, writer)

        return answer


@pytest.fixture(params=["opsgenie", "jira", "pagerduty"])
async def desk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[str, Incidents]]:
    """A service that keeps incidents, where Apprise's plugin for it sends: its URL, and what it keeps."""
    incidents = Incidents()
    take = incidents.pagerduty if request.param == "pagerduty" else incidents.opsgenie
    async with receiver(incidents.answer(take)) as found:
        monkeypatch.setitem(OPSGENIE_API_LOOKUP, "us", f"{found.origin}/v2/alerts")
        monkeypatch.setitem(JIRA_API_LOOKUP, "us", f"{found.origin}/v2/alerts")
        monkeypatch.setitem(PAGERDUTY_API_LOOKUP, "us", f"{found.origin}/v2/enqueue")
        yield (
            {"opsgenie": "opsgenie://a-key", "jira": "jira://a-key", "pagerduty": "pagerduty://routing@token"}[
                request.param
            ],
            incidents,
        )


async def test_begin_repeat_and_end_are_one_incident_which_the_end_closes(desk: tuple[str, Incidents]) -> None:
    url, incidents = desk
    begin, again = notification(), notification(notification_id="n2", title="still", reason="repeat interval elapsed")
    other, end = notification(notification_id="n3", group=NEXT), resolved(notification_id="n4", title="it is over")
    for told in (begin, again, other):
        assert isinstance(await AppriseChannel(url, seconds=5).deliver(told), Delivered)
    assert set(incidents.open) == {begin.group, NEXT}
    assert isinstance(await AppriseChannel(url, seconds=5).deliver(end), Delivered)  # of a worker that knows nothing
    assert set(incidents.open) == {NEXT}
    assert incidents.opened == [begin.group, NEXT]
    assert isinstance(await AppriseChannel(url, seconds=5).deliver(begin), Delivered)
    assert incidents.opened == [begin.group, NEXT, begin.group]


@pytest.mark.parametrize("level", ["info", "warning", "error", "critical"])
async def test_every_level_opens_an_incident_of_its_urgency(desk: tuple[str, Incidents], level: Level) -> None:
    url, incidents = desk
    outcome = await AppriseChannel(url, seconds=5).deliver(notification(alert(level=level), level=level))
    assert isinstance(outcome, Delivered)
    (found,) = incidents.open.values()
    if "payload" in found:
        assert found["payload"]["severity"] == level
    else:
        assert found["priority"] == {"info": "P5", "warning": "P3", "error": "P2", "critical": "P1"}[level]


async def test_an_end_that_is_not_taken_is_not_delivered(desk: tuple[str, Incidents]) -> None:
    url, _ = desk
    outcome = await AppriseChannel(url, seconds=5).deliver(resolved())
    assert isinstance(outcome, Permanent)
    assert "HTTP 404" in outcome.reason


async def test_what_the_url_says_of_incidents_stays(desk: tuple[str, Incidents]) -> None:
    url, incidents = desk
    more = {"opsgenie": "alias=eu&priority=p4", "jira": "alias=eu&priority=p4", "pagerduty": "dedup=eu&severity=info"}
    channel = AppriseChannel(f"{url}/?{more[url.partition(':')[0]]}", seconds=5)
    assert isinstance(await channel.deliver(notification()), Delivered)
    (key,), (found,) = incidents.open, incidents.open.values()
    assert key == f"eu/{notification().group}"
    assert found.get("priority", "P4") == "P4"
    assert found.get("payload", {}).get("severity", "info") == "info"


def test_every_service_of_apprise_that_maps_ends_has_a_key_and_none_else() -> None:
    """Held against Apprise's own description of its plugins, so that a new release shows what it has more."""
    found = {}
    for service in apprise.Apprise().details()["schemas"]:
        arguments = service["details"]["args"] | service["details"]["tokens"]
        if "map" in arguments.get("action", {}).get("values", ()):
            found[str(service["service_name"])] = {str(v.get("map_to", k)) for k, v in arguments.items()}
    names = {str(plugin.service_name): key for plugin, key in plugins_with_keys()}
    assert names.keys() == found.keys()
    assert {name for name, key in names.items() if key not in found[name]} == set()


def plugins_with_keys() -> Iterator[tuple[type[NotifyBase], str]]:
    manager = apprise.NotificationManager()  # type: ignore[no-untyped-call]
    for plugin in manager.plugins():  # type: ignore[no-untyped-call]
        if plugin.__name__ in KEYS:
            yield plugin, KEYS[plugin.__name__]


@given(st.text(min_size=1, max_size=600), st.text(max_size=300))
def test_a_key_is_within_the_limit_and_another_group_has_another(group: str, start: str) -> None:
    key = key_of(group, start)
    assert len(key) <= LONGEST_KEY
    assert key == key_of(group, start)
    assert key != key_of(f"{group}x", start)
