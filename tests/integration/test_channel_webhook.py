"""Webhooks: Alertmanager's payload, its signature, and where a URL may lead."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from aiohttp import ThreadedResolver
from aiohttp.abc import ResolveResult
from pydantic import SecretStr

from app.alerting.channels import allowed_addresses, http_post
from app.alerting.channels.setup import labelling_of, other_channels
from app.alerting.channels.webhook import MOST_ALERTS, WebhookChannel, payload_of
from app.alerting.notify.channel import Delivered, Permanent
from app.alerting.notify.decision import Reason
from app.alerting.notify.group_evaluation import PlannedNotification
from app.alerting.notify.notification import Notification
from app.alerting.notify.notification_builder import build_notification
from app.settings.settings import load_settings
from tests.support.notifications import MOMENT, alert, hostile, notification, resolved
from tests.support.paths import DOCS
from tests.support.receivers import receiver
from topics.levels import LEVELS, Level

pytestmark = pytest.mark.usefixtures("direct")

SECRET = "a key of the receiver's"

Hex16 = Annotated[str, msgspec.Meta(pattern="^[0-9a-z]{16}$")]
Texts = dict[str, str]


class Alert(msgspec.Struct, forbid_unknown_fields=True):
    """`template.Alert` of Alertmanager 0.28, by hand from its documentation."""

    status: Literal["firing", "resolved"]
    labels: Texts
    annotations: Texts
    startsAt: datetime  # noqa: N815
    endsAt: datetime  # noqa: N815
    generatorURL: str  # noqa: N815
    fingerprint: Hex16


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """`webhook.Message` of the same."""

    version: Literal["4"]
    groupKey: str  # noqa: N815
    truncatedAlerts: Annotated[int, msgspec.Meta(ge=0)]  # noqa: N815
    status: Literal["firing", "resolved"]
    receiver: str
    groupLabels: Texts  # noqa: N815
    commonLabels: Texts  # noqa: N815
    commonAnnotations: Texts  # noqa: N815
    externalURL: str  # noqa: N815
    alerts: list[Alert]


def received(body: bytes) -> Message:
    """As a receiver reads it that knows nothing of ours."""
    assert len(msgspec.json.decode(body)) == 10
    return msgspec.json.decode(body, type=Message)


async def test_the_payload_is_alertmanagers() -> None:
    over = alert("a2", status="resolved", ended_at=MOMENT, rule="performance", level="warning", title="well again")
    async with receiver() as found:
        told = notification(alert(), over)
        assert await WebhookChannel(f"{found.origin}/hook", seconds=5).deliver(told) == Delivered("HTTP 200")
    (request,) = found.requests
    assert request.line == "POST /hook HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["driftline-notification"] == "n1"
    assert "driftline-signature" not in request.headers
    message = received(request.body)
    assert (message.status, message.groupKey, message.truncatedAlerts) == ("firing", "income/3", 0)
    assert message.groupLabels == {"model": "income", "model_version": "3"}
    assert message.externalURL == "http://127.0.0.1:8700"
    first, second = message.alerts
    assert (first.status, second.status) == ("firing", "resolved")
    assert first.labels == {
        "model": "income", "model_version": "3", "rule": "data_drift", "subject": "features",
        "alertname": "data_drift", "severity": "error", "instance": "income/3/features", "service": "income",
        "job": "driftline",
    }  # fmt: skip
    assert first.annotations["summary"] == "income 3: data drift in 1 of 3 features (age)"
    assert first.annotations["description"].startswith("Since 2026-06-01")
    assert (first.startsAt, second.endsAt) == (MOMENT, MOMENT)
    assert first.endsAt.year == 1
    assert first.fingerprint == "00000000000000a1"
    common = {name: value for name, value in first.labels.items() if second.labels.get(name) == value}
    assert message.commonLabels == common
    assert message.commonAnnotations == {
        "dashboard": first.annotations["dashboard"],
        "description": first.annotations["description"],
    }
    assert b'"endsAt":"0001-01-01T00:00:00Z"' in request.body


@pytest.mark.parametrize("told", [notification(), resolved(), hostile(), notification(firing=(), resolved=())])
def test_every_payload_holds_to_the_schema(told: Notification) -> None:
    message = received(msgspec.json.encode(payload_of(told)))
    assert message.status == told.status


ALERTA = {"security", "critical", "major", "minor", "warning", "indeterminate", "informational", "debug", "trace"}
"""Severities of Alerta 9, beside those that say that all is well; it answers 500 to any other."""


def test_alerts_of_two_models_and_of_two_subjects_are_told_apart_by_instance_and_name() -> None:
    """What Alerta has for one alert: `environment`, `instance` and `alertname`."""
    others = [{"model": "income", "model_version": "4"}, {"model": "churn"}, {"subject": "age"}, {"topic": "feedback"}]
    alerts = [alert(), *(alert(f"b{i}", labels={**alert().labels, **more}) for i, more in enumerate(others))]
    message = received(msgspec.json.encode(payload_of(notification(*alerts))))
    assert len({(one.labels["instance"], one.labels["alertname"]) for one in message.alerts}) == len(alerts)
    assert {one.labels["service"] for one in message.alerts} == {"income", "churn"}


@pytest.mark.parametrize("level", LEVELS)
async def test_labels_severities_and_headers_are_as_they_are_set(level: Level) -> None:
    settings = load_settings(
        webhook_url="http://127.0.0.1", webhook_labels="environment=Production,service=ml",
        webhook_severities="info=informational,error=major", webhook_token="the-token", webhook_header="X-Key: the-key",
    )  # fmt: skip
    labelling = labelling_of(settings)
    async with receiver() as found:
        (channel,) = [
            one
            for one in other_channels(settings.model_copy(update={"webhook_url": SecretStr(found.origin)}))
            if one.name == "webhook"
        ]
        await channel.deliver(notification(alert(level=level)))
    (request,) = found.requests
    assert (request.headers["authorization"], request.headers["x-key"]) == ("Bearer the-token", "the-key")
    labels = received(request.body).alerts[0].labels
    assert labels["severity"] in ALERTA
    assert (labels["environment"], labels["service"], labels["job"]) == ("Production", "ml", "driftline")
    assert labels == labelling.of(alert(level=level))


def test_group_labels_are_those_that_are_grouped_by_whatever_the_group_holds() -> None:
    group = {"model": "income", "model_version": "3"}
    drift, recall = (
        alert(),
        alert("p1", rule="performance", labels={**group, "rule": "performance", "metric": "recall"}),
    )
    told = [
        build_notification(
            "default{…}", group, PlannedNotification("webhook", Reason.NEW_ALERTS, firing, (), 1), MOMENT
        )
        for firing in ((drift,), (drift, recall), (recall,))
    ]
    messages = [received(msgspec.json.encode(payload_of(one))) for one in told]
    assert {message.groupKey for message in messages} == {"default{…}"}
    assert [message.groupLabels for message in messages] == [group] * 3
    assert [message.commonLabels.get("rule") for message in messages] == ["data_drift", None, "performance"]


def test_alerts_beyond_the_most_are_counted() -> None:
    message = received(msgspec.json.encode(payload_of(notification(*[alert(f"a{i}") for i in range(MOST_ALERTS + 7)]))))
    assert (len(message.alerts), message.truncatedAlerts) == (MOST_ALERTS, 7)


DOCS = DOCS / "channels.md"


async def test_the_pages_own_verification_accepts_what_is_sent_and_nothing_else() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    check = names["is_from_driftline"]
    async with receiver() as found:
        await WebhookChannel(found.origin, seconds=5, secret=SECRET).deliver(notification())
    (request,) = found.requests
    headers = {name.title(): value for name, value in request.headers.items()}
    assert check(headers, request.body, SECRET)
    assert not check(headers, request.body + b" ", SECRET)
    assert not check(headers, request.body, "another")
    assert not check({**headers, "Driftline-Timestamp": "1800000000"}, request.body, SECRET)
    assert not check(headers, request.body, SECRET, -1)


async def test_the_signature_is_over_time_and_body() -> None:
    async with receiver() as found:
        channel = WebhookChannel(found.origin, seconds=5, secret=SECRET, clock=lambda: 1_800_000_000.7)
        await channel.deliver(hostile())
    (request,) = found.requests
    timestamp = request.headers["driftline-timestamp"]
    assert timestamp == "1800000000"
    signed = hmac.digest(SECRET.encode(), timestamp.encode() + b"." + request.body, hashlib.sha256).hex()
    assert request.headers["driftline-signature"] == f"v1={signed}"
    assert re.fullmatch(r"[A-Za-z0-9%._~-]+", request.headers["driftline-notification"])


async def test_a_public_channel_does_not_reach_this_machine_by_address_or_by_name() -> None:
    async with receiver() as found:
        for host in ("127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"):
            outcome = await WebhookChannel(f"http://{host}:{found.port}/x", seconds=5, public=True).deliver(resolved())
            assert isinstance(outcome, Permanent), host
    assert found.requests == []


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is asked for first and private the next time: it is asked for once."""
    answers = [["198.51.100.7"], ["127.0.0.1"]]
    asked: list[str] = []
    connected: list[tuple[str, int]] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers.pop(0)

    async def connect(*, addr_infos: list[tuple[object, ...]], **_: object) -> None:
        connected.extend(info[4] for info in addr_infos)  # type: ignore[misc]
        raise ConnectionRefusedError

    monkeypatch.setattr(allowed_addresses.PublicResolver.__init__, "__defaults__", (rebinding,))
    monkeypatch.setattr(
        allowed_addresses, "refusal_of", lambda address: "private" if address.startswith("127.") else None
    )
    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", connect)
    await WebhookChannel("http://rebind.example/x", seconds=5, public=True).deliver(resolved())
    assert asked == ["rebind.example"]
    assert connected == [("198.51.100.7", 80)]


async def test_an_operators_own_url_may_lead_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(_self: ThreadedResolver, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=2, proto=0, flags=0)]

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    async with receiver() as found:
        outcome = await WebhookChannel(f"http://hooks.internal:{found.port}/x", seconds=5).deliver(resolved())
    assert outcome == Delivered("HTTP 200")


async def test_not_more_than_the_beginning_of_an_answer_is_read() -> None:
    from tests.support.receivers import huge

    async with receiver(huge(500)) as found, http_post.session(5) as opened, opened.get(found.origin) as answer:
        assert len(await answer.read()) == http_post.MOST_READ
