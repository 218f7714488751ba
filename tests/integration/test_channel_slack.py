"""Slack: what its webhook is sent, held against Slack's own rules."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.alerting.channels.slack import SlackChannel
from app.alerting.notify.channel import Delivered, Permanent
from app.alerting.notify.notification import Notification
from tests.support.notifications import alert, drifted, hostile, metric, notification, resolved
from tests.support.receivers import answering, receiver

pytestmark = pytest.mark.usefixtures("direct")


async def sent(told: Notification) -> dict[str, Any]:
    """What Slack gets."""
    async with receiver() as found:
        assert await SlackChannel(f"{found.origin}/services/T/B/x", seconds=5).deliver(told) == Delivered("HTTP 200")
    (request,) = found.requests
    body: dict[str, Any] = msgspec.json.decode(request.body)
    return body


def texts(blocks: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Every text with its kind."""
    found = []
    for block in blocks:
        parts = [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
        found += [(part["type"], part["text"]) for part in parts if part]
    return found


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def many() -> Notification:
    """More of everything than there is room for."""
    features = [
        drifted(f"feature <{i}> " + "&💥" * 60, 0.2 + i / 100, reference="<" * 400, current=">" * 400)
        for i in range(40)
    ]
    alerts = [
        alert(
            f"a{i}",
            title=f"<{i}> " + "&" * 1000,
            message="\n".join(["<&>" * 200] * 30),
            features=features,
            metrics=[metric(f"m{i}")],
        )
        for i in range(60)
    ]
    return notification(*alerts, title="💥<&" * 200, labels={f"label{i}": "<" * 3000 for i in range(20)})


@pytest.mark.parametrize(
    "told", [notification(), resolved(), hostile(), many()], ids=["firing", "resolved", "hostile", "many"]
)
async def test_every_message_is_within_slacks_limits_and_escaped(told: Notification) -> None:
    body = await sent(told)
    blocks = body["blocks"]
    assert 1 <= len(blocks) <= 50
    assert body["text"]
    for block in blocks:
        if block["type"] == "header":
            assert block["text"]["type"] == "plain_text"
            assert 1 <= units(block["text"]["text"]) <= 150
        if block["type"] == "section":
            assert block.get("fields") or 1 <= units(block["text"]["text"]) <= 3000
            assert len(block.get("fields", ())) <= 10
            assert all(1 <= units(field["text"]) <= 2000 for field in block.get("fields", ()))
        if block["type"] == "context":
            assert 1 <= len(block["elements"]) <= 10
    for kind, text in [*texts(blocks), ("mrkdwn", body["text"])]:
        if kind == "mrkdwn":
            rest = text.replace("<https://example.org/?a=%3Cb%3E%7Cc&amp;d|Open the dashboard>", "")
            rest = rest.replace("<http://127.0.0.1:8700/dashboard?model=income&amp;version=3|Open the dashboard>", "")
            assert "<" not in rest
            assert ">" not in rest
            assert "&" not in rest.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")


async def test_it_says_level_features_metrics_time_and_where_to_look() -> None:
    body = await sent(notification())
    said = "\n".join(text for _, text in texts(body["blocks"]))
    assert body["blocks"][0]["text"]["text"] == "🔴 income 3: data drift in 1 of 3 features (age)"
    for words in (
        "*level*\nerror", "*status*\nfiring", "*model*\nincome", "1,000 predictions",
        "*age*: KS distance 0.3 (threshold 0.1), p &lt; 1e-12, higher", "median 40, mean 41 → median 480, mean 490",
        "*recall* 0.6 (95 % interval 0.59 to 0.61), baseline 0.8: 25.0% worse", "2026-06-01T12:00:00Z",
        "<http://127.0.0.1:8700/dashboard?model=income&amp;version=3|Open the dashboard>",
    ):  # fmt: skip
        assert words in said
    assert body["blocks"][-1]["type"] == "context"
    assert body["unfurl_links"] is False


async def test_resolved_is_green_and_names_shout_at_nobody() -> None:
    assert (await sent(resolved()))["blocks"][0]["text"]["text"].startswith("✅ ")
    body = await sent(notification(alert(title="<!channel> *x*"), title="<!channel> *x*"))
    assert body["text"] == "🔴 [error] &lt;!channel&gt; *x*"


async def test_slacks_words_are_told() -> None:
    async with receiver(answering(404, b"no_service")) as found:
        outcome = await SlackChannel(f"{found.origin}/services/T/B/x", seconds=5).deliver(notification())
    assert outcome == Permanent("HTTP 404 (no_service); make a new incoming webhook in Slack and set slack_webhook_url")
