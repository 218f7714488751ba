"""Real receivers that are away, switched off, new, or flooded: what each has in the end, by the agent's own clock."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import EmailMessage

import pytest

from app.alerting.channels.email import EmailChannel, Mailbox
from app.alerting.channels.slack import SlackChannel
from app.alerting.channels.webhook import WebhookChannel
from app.alerting.notify.channel import Channel
from app.alerting.notify.routing import Policy, Routing
from tests.support.alert_events import of_rule, resolved
from tests.support.notify_world import Worker, alert_of, passing, storm
from tests.support.receivers import Post, Receiver, Request, answering, mail_server, receiver

POLICY = Policy(wait=5.0, interval=60.0, repeat=4 * 3600.0)
HOUR = 3600.0


def said(chat: Receiver) -> list[str]:
    """The headings that Slack was sent."""
    return [json.loads(request.body)["blocks"][0]["text"]["text"] for request in chat.requests]


def mails(post: Post) -> list[EmailMessage]:
    contents = [one.content for one in post.envelopes]
    return [email.message_from_bytes(one, policy=email.policy.default) for one in contents if isinstance(one, bytes)]


@dataclass
class World:
    """The agent with Slack, a mail server and a webhook's receiver. `status`: what Slack answers."""

    chat: Receiver
    hook: Receiver
    post: Post
    worker: Worker
    status: list[int]

    def clear(self) -> None:
        for requests in (self.chat.requests, self.hook.requests, self.post.envelopes):
            requests.clear()


@pytest.fixture
async def world(direct: None) -> AsyncIterator[World]:
    status = [200]

    async def chat_answers(request: Request, writer: asyncio.StreamWriter) -> None:
        await answering(status[0])(request, writer)

    async with receiver(chat_answers) as chat, receiver() as hook, mail_server(Post()) as post:
        channels: list[Channel] = [
            SlackChannel(f"{chat.origin}/services/T/B/x", seconds=5),
            EmailChannel(Mailbox("127.0.0.1", "d@example.org", ("a@example.org",), "none", post.port), seconds=5),
            WebhookChannel(f"{hook.origin}/hook", seconds=5),
        ]
        worker = Worker(channels, wanted=("slack", "email"), routing=Routing(policy=POLICY), digest_above=10)
        yield World(chat, hook, post, worker, status)


async def test_an_end_waits_for_channels_that_are_away_for_longer_than_they_are_tried(world: World) -> None:
    worker, drift = world.worker, of_rule("data_drift")
    await worker.run(drift)
    await passing(worker, 7)
    assert (len(world.chat.requests), len(world.post.envelopes)) == (1, 1)
    world.status[0], world.post.say = 503, "451 4.3.0 come back"
    await worker.run(resolved(drift))
    await passing(worker, 70, every=5)
    await passing(worker, 2 * HOUR, every=400)
    assert {letter.channel for letter in worker.undelivered} == {"slack", "email"}
    world.status[0], world.post.say = 200, "250 2.0.0 taken"
    world.clear()
    worker.restart()
    await passing(worker, 3 * HOUR, every=400)
    assert said(world.chat) == ["✅ 3/data_drift/features"]
    assert [str(one["Subject"])[:3] for one in mails(world.post)] == ["✅ ["]
    assert [event.outcome for event in worker.sent[-2:]] == ["delivered", "delivered"]
    assert len(worker.taken_back) == 2, "nobody is to send again what was told"


async def test_a_channel_that_is_switched_off_gets_nothing_and_a_new_one_gets_what_fires(world: World) -> None:
    worker, alert = world.worker, of_rule("performance")
    await worker.run(alert)
    await passing(worker, 70, every=5)
    worker.routing = Routing(policy=POLICY, disabled=frozenset({"email"}))
    worker.register(("slack", "email", "webhook"))
    worker.restart()
    await passing(worker, 70, every=5)
    (posted,) = (json.loads(request.body) for request in world.hook.requests)
    assert [alert["labels"]["alertname"] for alert in posted["alerts"]] == ["performance"]
    await worker.run(resolved(alert))
    await passing(worker, 70, every=5)
    assert (len(world.chat.requests), len(world.post.envelopes), len(world.hook.requests)) == (2, 1, 2)


async def test_a_storm_is_one_message_for_each_channel_with_the_worst_first_and_a_link(world: World) -> None:
    world.worker.register(("slack", "email", "webhook"))
    await storm(world.worker, [alert_of(i, "critical" if i == 17 else "error") for i in range(200)])
    await passing(world.worker, 20)
    (heading,) = said(world.chat)
    assert heading.startswith("🚨 200 model versions: 200 alerts fire (1 critical, 199 error); the worst: m17 1: drift")
    blocks = json.loads(world.chat.requests[0].body)["blocks"]
    assert "http://d.example/dashboard#/alerts" in json.dumps(blocks)
    assert len(blocks) <= 50
    (mail,) = mails(world.post)
    text = mail.get_body(("plain",))
    assert text is not None
    assert "and 190 more" in text.get_content()
    assert "http://d.example/dashboard#/alerts" in text.get_content()
    (payload,) = (json.loads(request.body) for request in world.hook.requests)
    assert (len(payload["alerts"]), payload["truncatedAlerts"], payload["groupLabels"]) == (200, 0, {})
    assert len({alert["fingerprint"] for alert in payload["alerts"]}) == 200
