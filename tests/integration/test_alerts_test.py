"""`driftline alerts test`: a sample through a real channel, and what came back."""

from __future__ import annotations

import asyncio
import email
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.settings.settings import SettingsError
from tests.support.receivers import Post, answering, mail_server, receiver

pytestmark = pytest.mark.usefixtures("direct", "folder")


async def typed(*arguments: str, **settings: object) -> Result:
    """The command in a thread, for it has a loop of its own."""
    env = {f"DRIFTLINE_{name.upper()}": str(value) for name, value in settings.items()}
    return await asyncio.to_thread(CliRunner().invoke, app, ["alerts", "test", "--channel", *arguments], env=env)


async def test_a_webhook_that_takes_it_is_exit_status_0() -> None:
    async with receiver() as found:
        answer = await typed("webhook", "--level", "critical", "--json", webhook_url=f"{found.origin}/secret-path")
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert (told["channel"], told["outcome"], told["detail"]) == ("webhook", "delivered", "HTTP 200")
    assert (told["status"], told["level"]) == ("firing", "critical")
    assert 0 <= told["seconds"] < 10
    body = json.loads(found.requests[0].body)
    assert [alert["status"] for alert in body["alerts"]] == ["firing", "firing"]
    assert "secret-path" not in answer.output


async def test_what_was_sent_and_what_came_back_is_shown_without_secrets() -> None:
    given = {"webhook_token": "secret-token", "webhook_header": "X-Key: secret-key", "webhook_secret": "secret-sign"}
    async with receiver(answering(201, b'{"id": 7, "you sent": "secret-token"}')) as found:
        url = f"{found.origin}/secret-path"
        shown = await typed("webhook", webhook_url=url, **given)
        written = await typed("webhook", "--json", webhook_url=url, **given)
    assert "secret-" not in shown.output + written.output
    assert re.fullmatch(r"webhook: delivered in \d+\.\d\d s: HTTP 201\n", shown.stdout)
    for words in (f"  POST {found.origin}/…", "  Authorization: …", '"severity": "error"', "  HTTP 201", '"id": 7'):
        assert words in shown.stderr
    (exchange,) = json.loads(written.stdout)["exchanges"]
    assert json.loads(exchange["body"]) == json.loads(found.requests[1].body)
    assert exchange["returned"].startswith("HTTP 201\n")
    assert "Driftline-Signature: v1=" in exchange["sent"]


@pytest.mark.parametrize("channel", ["slack", "email", "apprise", "alertmanager"])
async def test_every_channel_shows_what_it_sends(channel: str) -> None:
    async with receiver() as found, mail_server(Post()) as post:
        answer = await typed(
            channel, "--json", slack_webhook_url=f"{found.origin}/secret-path", email_host="127.0.0.1",
            email_port=post.port, email_security="none", email_from="drift@example.org", email_to="ann@example.org",
            apprise_urls=f"json://127.0.0.1:{found.port}/secret-path", alertmanager_urls=f"{found.origin}/secret-path",
        )  # fmt: skip
    exchanges = json.loads(answer.stdout)["exchanges"]
    assert any("data drift in 2 of 6 features" in one["sent"] + one["body"] for one in exchanges)
    assert all(one["returned"] for one in exchanges)
    assert "secret-path" not in answer.output


async def test_slack_that_refuses_it_is_exit_status_1_and_says_what_came_back() -> None:
    async with receiver(answering(403, b"invalid_token")) as found:
        answer = await typed("slack", "--resolved", slack_webhook_url=f"{found.origin}/secret-path")
    assert answer.exit_code == 1
    assert re.fullmatch(
        r"slack: not delivered, after \d+\.\d\d s: HTTP 403 \(invalid_token\); make a new incoming webhook .*\n",
        answer.stdout,
    )
    assert "secret-path" not in answer.output
    assert "✅" in json.loads(found.requests[0].body)["blocks"][0]["text"]["text"]


async def test_slack_that_asks_to_wait_says_for_how_long() -> None:
    async with receiver(answering(429, b"rate_limited", Retry_After="17")) as found:
        answer = await typed("slack", slack_webhook_url=f"{found.origin}/secret-path")
    assert answer.exit_code == 1
    assert answer.stdout.endswith("HTTP 429 (rate_limited); a worker would try again (it asks to wait 17 s)\n")


async def test_a_mail_arrives_with_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.alerting.channels.email.PICTURE_SECONDS", 60.0)  # a slow machine is no failure
    async with mail_server(Post()) as post:
        answer = await typed(
            "email", email_host="127.0.0.1", email_port=post.port, email_security="none",
            email_from="drift@example.org", email_to="ann@example.org",
        )  # fmt: skip
    assert answer.exit_code == 0, answer.output
    assert re.fullmatch(
        r"email: delivered in \d+\.\d\d s: SMTP 250 \(2\.0\.0 taken\), 1 of 1 recipients\n", answer.stdout
    )
    content = post.envelopes[0].content
    assert isinstance(content, bytes)
    kinds = [part.get_content_type() for part in email.message_from_bytes(content).walk()]
    assert "image/png" in kinds


async def test_the_channels_that_are_always_there(folder: Path) -> None:
    assert (await typed("log")).exit_code == 0
    assert (await typed("file")).exit_code == 0
    assert list((folder / "alerts").glob("alerts-*.jsonl"))


async def test_what_is_not_set_up_says_what_to_set() -> None:
    answer = await typed("apprise", "--json")
    assert answer.exit_code == 1
    assert "set apprise_urls" in json.loads(answer.stdout)["detail"]


async def test_what_is_set_up_in_part_is_trouble() -> None:
    answer = await typed("email", email_host="mail.example.org")
    assert isinstance(answer.exception, SettingsError)  # which the command's main turns into exit status 2
