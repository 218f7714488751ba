"""The notifier against real other sides that misbehave in turn: all is delivered, and nobody waits for anybody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
import pytest

from agents.notify.agent import NotifyAgent
from app.alerting.channels.email import EmailChannel, Mailbox
from app.alerting.channels.slack import SlackChannel
from app.alerting.channels.webhook import WebhookChannel
from app.alerting.notify.channel import Channel
from app.alerting.notify.retry_policy import RetryPolicy
from app.alerting.notify.routing import Policy, Routing
from app.core.config.monitoring import Alerting, Monitoring
from app.faust_batches.batch import Batch
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from tests.support.alert_events import of_rule
from tests.support.receivers import Answer, Post, Request, answering, breaking_off, in_turn, mail_server, raw, receiver
from tests.support.reports import records_of
from topics.events import DeliveryEvent
from topics.registry import ALERTS, DELIVERIES, Topic

HANGS = 0.5
"""Seconds that an attempt may take."""

pytestmark = pytest.mark.usefixtures("direct")


@dataclass
class Timed:
    """Answers as another does, and notes when it was asked."""

    answer: Answer
    at: list[float] = field(default_factory=list)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.at.append(time.monotonic())
        await self.answer(request, writer)


async def hang(_request: Request, _writer: asyncio.StreamWriter) -> None:
    """No answer within the time."""
    await asyncio.sleep(2 * HANGS)


@dataclass
class Recorded:
    """What was published, and when."""

    events: list[tuple[float, DeliveryEvent]] = field(default_factory=list)
    partitions: ClassVar[int] = 1

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        assert topic is DELIVERIES, "nothing is given up"
        for record in records:
            event = msgspec.json.decode(record.value or b"", type=DeliveryEvent)
            self.events.append((time.monotonic(), event))

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        raise AssertionError(rejected)


async def test_a_server_that_asks_to_wait_fails_hangs_and_breaks_off_gets_it_and_delays_no_other() -> None:
    bad = Timed(
        in_turn(
            answering(429, Retry_After="1"), answering(500), hang, raw(b""), breaking_off(503), answering(200)
        )
    )  # fmt: skip
    recorded, table = Recorded(), dict[str, bytes]()
    async with receiver(bad) as hook, receiver() as chat, mail_server(Post(say="451 4.3.0 come back")) as post:
        channels: list[Channel] = [
            WebhookChannel(f"{hook.origin}/hook", seconds=HANGS),
            SlackChannel(f"{chat.origin}/services/T/B/x", seconds=5),
            EmailChannel(Mailbox("127.0.0.1", "d@example.org", ("a@example.org",), "none", post.port), seconds=5),
        ]
        names = tuple(channel.name for channel in channels)
        agent = NotifyAgent(
            table, lambda model, version: Monitoring(alerting=Alerting(channels=names)),
            {channel.name: channel for channel in channels}, routing=Routing(policy=Policy(wait=0.0, interval=0.0)),
            patience=RetryPolicy(attempt_seconds=5.0, first_wait=0.05, longest_wait=0.05),
        )  # fmt: skip
        await agent.handle(Batch(ALERTS, 0, records_of([of_rule("data_drift")])), recorded)
        async with asyncio.timeout(20):
            while len(recorded.events) < 3:
                if len(post.envelopes) == 2:
                    post.say = "250 2.0.0 taken"
                await asyncio.sleep(0.01)
                await agent.handle(Batch(ALERTS, 0, ()), recorded)
    when = {event.channel: at for at, event in recorded.events}
    assert {(event.channel, event.outcome) for _, event in recorded.events} == {(name, "delivered") for name in names}
    assert {event.channel: event.attempts for _, event in recorded.events} == {"webhook": 6, "slack": 1, "email": 3}
    assert when["slack"] < bad.at[1], "it was told while the webhook waited"
    assert bad.at[1] - bad.at[0] >= 1.0, "Retry-After"
    assert bad.at[3] - bad.at[2] >= HANGS, "it waited for an answer, and not for ever"
    assert len(chat.requests) == 1
