"""Apprise: several services, each told once."""

from __future__ import annotations

import msgspec
import pytest

from app.alerting.channels.apprise import AppriseChannel
from app.alerting.delivery import Delivered, Permanent, Retryable
from tests.notifications import notification, resolved
from tests.receivers import answering, breaking_off, in_turn, raw, receiver

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
