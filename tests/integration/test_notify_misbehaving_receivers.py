"""The notifier against real other sides that misbehave in turn: all is delivered, and nobody waits for anybody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import msgspec
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from agents.notify.agent import NotifyAgent
from app.alerting.channels.email import EmailChannel, Mailbox
from app.alerting.channels.slack import SlackChannel
from app.alerting.channels.webhook import WebhookChannel
from app.alerting.notify.channel import Channel, Outcome
from app.alerting.notify.notification import Notification
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
"""Seconds that the attempt which gets no answer may take."""
LONG = 60.0
"""Seconds that any other attempt may take, however busy the machine is."""
START = datetime(2026, 6, 1, tzinfo=UTC)
STEP = 0.05

pytestmark = pytest.mark.usefixtures("direct")


class Clock:
    """The notifier's clock, which moves only when the test lets it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


@dataclass
class Timed:
    """Channel that answers as another does, and records the notifier's and the machine's time of each attempt."""

    answer: Answer
    clock: Clock
    at: list[float] = field(default_factory=list)
    by_machine: list[float] = field(default_factory=list)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.at.append(self.clock.seconds)
        self.by_machine.append(time.monotonic())
        await self.answer(request, writer)


def silent(until: asyncio.Event) -> Answer:
    """No answer."""

    async def answer(_request: Request, _writer: asyncio.StreamWriter) -> None:
        await until.wait()

    return answer


class Webhook(WebhookChannel):
    """Channel that waits `HANGS` for the answer that does not come, and `LONG` for every other."""

    def __init__(self, url: str, asked: Timed, hanging: int) -> None:
        super().__init__(url, seconds=LONG)
        self._hurried, self._asked, self._hanging = WebhookChannel(url, seconds=HANGS), asked, hanging

    async def deliver(self, notification: Notification) -> Outcome:
        if len(self._asked.at) == self._hanging:
            return await self._hurried.deliver(notification)
        return await super().deliver(notification)


@dataclass
class Busy(Post):
    """A mail server that refuses a message for now, so many times."""

    refusals: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.say = "451 4.3.0 come back" if len(self.envelopes) < self.refusals else "250 2.0.0 taken"
        return await super().handle_DATA(server, session, envelope)


@dataclass
class Recorded:
    """What was published."""

    events: list[DeliveryEvent] = field(default_factory=list)
    partitions: ClassVar[int] = 1

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        assert topic is DELIVERIES, "nothing is given up"
        for record in records:
            self.events.append(msgspec.json.decode(record.value or b"", type=DeliveryEvent))

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        raise AssertionError(rejected)


async def test_a_server_that_asks_to_wait_fails_hangs_and_breaks_off_gets_it_and_delays_no_other() -> None:
    clock, ended = Clock(), asyncio.Event()
    first, hang, then = (answering(429, Retry_After="1"), answering(500)), silent(ended), (raw(b""), breaking_off(503))
    bad = Timed(in_turn(*first, hang, *then, answering(200)), clock)
    recorded, table = Recorded(), dict[str, bytes]()
    async with receiver(bad) as hook, receiver() as chat, mail_server(Busy(refusals=2)) as post:
        channels: list[Channel] = [
            Webhook(f"{hook.origin}/hook", bad, hanging=len(first)),
            SlackChannel(f"{chat.origin}/services/T/B/x", seconds=LONG),
            EmailChannel(Mailbox("127.0.0.1", "d@example.org", ("a@example.org",), "none", post.port), seconds=LONG),
        ]
        names = tuple(channel.name for channel in channels)
        agent = NotifyAgent(
            table, lambda model, version: Monitoring(alerting=Alerting(channels=names)),
            {channel.name: channel for channel in channels}, routing=Routing(policy=Policy(wait=0.0, interval=0.0)),
            patience=RetryPolicy(attempt_seconds=LONG, first_wait=STEP, longest_wait=STEP), now=clock,
        )  # fmt: skip

        async def ticks(until: int) -> None:
            """Tick, with a pause for what is under way, until so many notifications are delivered."""
            while len(recorded.events) < until:
                await asyncio.sleep(0.01)
                await agent.handle(Batch(ALERTS, 0, ()), recorded)
                clock.seconds += STEP if recorded.events else 0.0

        async with asyncio.timeout(LONG):
            await agent.handle(Batch(ALERTS, 0, records_of([of_rule("data_drift")])), recorded)
            await ticks(until=1)
            assert [event.channel for event in recorded.events] == ["slack"], "notified while the webhook waited"
            await ticks(until=3)
        ended.set()
    assert {(event.channel, event.outcome) for event in recorded.events} == {(name, "delivered") for name in names}
    assert {event.channel: event.attempts for event in recorded.events} == {"webhook": 6, "slack": 1, "email": 3}
    assert bad.at[1] - bad.at[0] >= 1.0, "Retry-After"
    assert bad.by_machine[3] - bad.by_machine[2] >= HANGS, "it waited for an answer, and not for ever"
    assert len(chat.requests) == 1
