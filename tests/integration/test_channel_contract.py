"""What every channel promises (`Channel.deliver`), held against a real other side that misbehaves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from app.alerting.channels.apprise import AppriseChannel
from app.alerting.channels.email import EmailChannel, Mailbox
from app.alerting.channels.slack import SlackChannel
from app.alerting.channels.webhook import WebhookChannel
from app.alerting.notify.channel import Channel, Delivered, Permanent, Retryable
from tests.support.notifications import hostile, notification, resolved
from tests.support.receivers import (
    Answer,
    Post,
    Receiver,
    answering,
    breaking_off,
    huge,
    mail_server,
    raw,
    receiver,
    repeating,
    talking,
)

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # the mail server's own

SECRETS = ("T0SECRET0", "XsecretXpathX", "secret-key-of-the-receiver", "hunter2-and-more", "user-secret")
PATH = "/services/T0SECRET0/XsecretXpathX"
SECONDS = 2.0


def slack(port: int, seconds: float = SECONDS) -> Channel:
    return SlackChannel(f"http://127.0.0.1:{port}{PATH}", seconds=seconds)


def webhook(port: int, seconds: float = SECONDS) -> Channel:
    url = f"http://drift:user-secret@127.0.0.1:{port}{PATH}?key=XsecretXpathX"
    return WebhookChannel(url, seconds=seconds, secret="secret-key-of-the-receiver")


def apprise(port: int, seconds: float = SECONDS) -> Channel:
    return AppriseChannel(f"json://drift:user-secret@127.0.0.1:{port}{PATH}", seconds=seconds)


def email(port: int, seconds: float = SECONDS) -> Channel:
    mailbox = Mailbox(
        "127.0.0.1",
        "drift@example.org",
        ("a@example.org",),
        "none",
        port,
        username="drift",
        password="hunter2-and-more",
    )
    return EmailChannel(mailbox, seconds=seconds)


Make = Callable[..., Channel]
HTTP: dict[str, Make] = {"slack": slack, "webhook": webhook, "apprise": apprise}
EVERY: dict[str, Make] = {**HTTP, "email": email}
each_http = pytest.mark.parametrize("make", HTTP.values(), ids=HTTP.keys())
each = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
each_that_hears_words = pytest.mark.parametrize("make", [slack, webhook], ids=["slack", "webhook"])


@pytest.fixture(autouse=True)
def secretive(caplog: pytest.LogCaptureFixture, direct: None) -> Iterator[None]:
    """Whatever happens in a test, no secret comes into the log, at any level."""
    caplog.set_level(logging.DEBUG)
    yield
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name != "mail.log")  # the server's
    assert [secret for secret in SECRETS if secret in ours] == []


@asynccontextmanager
async def working(make: Make) -> AsyncIterator[Channel]:
    """The channel, with another side that takes everything."""
    if make is email:
        async with mail_server(Post(), login=("drift", "hunter2-and-more")) as post:
            yield make(post.port)
        return
    async with receiver() as found:
        yield make(found.port)


@asynccontextmanager
async def against(make: Make, answer: Answer) -> AsyncIterator[tuple[Channel, Receiver]]:
    """The channel, with another side that answers so."""
    async with receiver(answer) as found:
        yield make(found.port), found


def reason_of(outcome: object) -> str:
    """The reason, in which there is no secret."""
    words = outcome.detail if isinstance(outcome, Delivered) else getattr(outcome, "reason", "")
    assert [secret for secret in SECRETS if secret in words] == []
    return str(words)


@each
async def test_delivers_what_fires_what_is_over_and_what_is_hostile_once_and_again(make: Make) -> None:
    async with working(make) as channel:
        for told in (notification(), resolved(), hostile(), notification(), notification(firing=(), resolved=())):
            outcome = await channel.deliver(told)
            assert isinstance(outcome, Delivered), outcome
            reason_of(outcome)


@each
async def test_takes_many_at_once(make: Make) -> None:
    async with working(make) as channel:
        outcomes = await asyncio.gather(*(channel.deliver(resolved(notification_id=str(i))) for i in range(8)))
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)


@each
def test_its_own_words_about_itself_hold_no_secret(make: Make) -> None:
    assert [secret for secret in SECRETS if secret in f"{make(1)!r} {make(1)}"] == []


@each
async def test_nobody_there_is_worth_another_attempt(make: Make) -> None:
    async with working(make) as channel:
        pass
    outcome = await channel.deliver(notification())
    assert isinstance(outcome, Retryable)
    reason_of(outcome)


@each
async def test_silence_ends_with_the_time(make: Make) -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with talking(silent) as port:
        started = time.monotonic()
        outcome = await make(port, 0.4).deliver(resolved())
        assert time.monotonic() - started < 5
    assert isinstance(outcome, Retryable)
    reason_of(outcome)


@each_http
async def test_a_connection_that_closes_without_an_answer_is_worth_another_attempt(make: Make) -> None:
    async with against(make, raw(b"")) as (channel, found):
        outcome = await channel.deliver(notification())
    assert isinstance(outcome, Retryable)
    assert len(found.requests) == 1, "the channel has tried again by itself"
    reason_of(outcome)


@each_http
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_passes_is_worth_another_attempt(make: Make, status: int) -> None:
    async with against(make, answering(status)) as (channel, found):
        outcome = await channel.deliver(notification())
    assert isinstance(outcome, Retryable)
    assert f"HTTP {status}" in reason_of(outcome)
    assert len(found.requests) == 1


@each_http
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_what_does_not_pass_says_which_setting_to_look_at(make: Make, status: int) -> None:
    async with against(make, answering(status)) as (channel, _):
        outcome = await channel.deliver(notification())
    assert isinstance(outcome, Permanent)
    assert f"HTTP {status}" in reason_of(outcome)
    assert {slack: "slack_webhook_url", webhook: "webhook_url", apprise: "apprise_urls"}[make] in outcome.reason


@each_that_hears_words
async def test_retry_after_is_honoured_in_both_its_forms(make: Make) -> None:
    async with against(make, answering(429, Retry_After="17")) as (channel, _):
        assert (await channel.deliver(notification())) == Retryable("HTTP 429 (ok)", 17.0)
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    async with against(make, answering(503, Retry_After=later)) as (channel, _):
        outcome = await channel.deliver(notification())
    assert isinstance(outcome, Retryable)
    assert outcome.after is not None
    assert 60 < outcome.after <= 90


@each_http
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(make: Make, status: int) -> None:
    async with (
        receiver() as target,
        against(make, answering(status, Location=f"{target.origin}/elsewhere")) as (channel, _),
    ):
        outcome = await channel.deliver(notification())
    assert isinstance(outcome, Permanent)
    assert str(status) in reason_of(outcome)
    assert target.requests == []


@each_that_hears_words
@pytest.mark.parametrize(("status", "expected"), [(200, Delivered), (500, Retryable), (404, Permanent)])
async def test_the_status_counts_where_the_body_breaks_off_or_never_ends(
    make: Make, status: int, expected: type[object]
) -> None:
    for answer in (breaking_off(status), huge(status)):
        async with against(make, answer) as (channel, _):
            started = time.monotonic()
            assert isinstance(await channel.deliver(notification()), expected)
            assert time.monotonic() - started < SECONDS


@each_that_hears_words
@pytest.mark.parametrize(
    "words", [b"220 mail.test ESMTP\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, b"\0" * 100]
)
async def test_what_is_not_http_is_worth_another_attempt(make: Make, words: bytes) -> None:
    async with against(make, raw(words)) as (channel, _):
        outcome = await channel.deliver(notification())
    assert isinstance(outcome, Retryable)
    reason_of(outcome)


@each_that_hears_words
async def test_an_answer_that_repeats_the_secrets_is_quoted_without_them(make: Make) -> None:
    for status in (404, 500):
        async with against(make, repeating(status)) as (channel, _):
            assert f"HTTP {status} (POST" in reason_of(await channel.deliver(notification()))
