"""Slack by a bot, against a server that keeps messages as Slack's Web API says: one message an incident."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from app.alerting.channels.setup import other_channels
from app.alerting.channels.slack_bot import SlackBotChannel
from app.alerting.notify.channel import Delivered, Permanent, Retryable
from app.settings.settings import SettingsError, load_settings
from tests.support.notifications import hostile, notification, resolved
from tests.support.receivers import Request, answering, huge, receiver

pytestmark = pytest.mark.usefixtures("direct")

TOKEN = "xoxb-secret-token"
ROOM = "C0123456789"


class Workspace:
    """One channel's messages. `refuse`: the error of each method that fails."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.refuse: dict[str, str] = {}
        self.origin = ""

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        _, path, _ = request.line.split(" ")
        address = urlsplit(path)
        method = address.path.removeprefix("/api/")
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            found: dict[str, Any] = {"ok": False, "error": "invalid_auth"}
        elif method in self.refuse:
            found = {"ok": False, "error": self.refuse[method]}
        elif method == "conversations.history":
            found = self._history({name: values[0] for name, values in parse_qs(address.query).items()})
        else:
            found = self._take(method, msgspec.json.decode(request.body))
        await answering(200, msgspec.json.encode(found), Retry_After="7")(request, writer)

    def _take(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        assert given["channel"] == ROOM
        if method == "chat.postMessage":
            self.messages.append({**given, "ts": f"1700000000.{len(self.messages):06}"})
            return {"ok": True, "channel": ROOM, "ts": self.messages[-1]["ts"], "message": self.messages[-1]}
        assert method == "chat.update"
        (message,) = [one for one in self.messages if one["ts"] == given["ts"]]
        message.update(given)
        return {"ok": True, "ts": given["ts"]}

    def _history(self, query: dict[str, str]) -> dict[str, Any]:
        """The newest first, in pages of two; answers in threads are not in it."""
        assert (query["channel"], query["include_all_metadata"]) == (ROOM, "true")
        shown = [one for one in reversed(self.messages) if "thread_ts" not in one or one.get("reply_broadcast")]
        start = int(query.get("cursor", "0"))
        more = str(start + 2) if start + 2 < len(shown) else ""
        return {"ok": True, "messages": shown[start : start + 2], "response_metadata": {"next_cursor": more}}

    def bot(self, token: str = TOKEN) -> SlackBotChannel:
        return SlackBotChannel(token, ROOM, seconds=5, api=f"{self.origin}/api/")


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    found = Workspace()
    async with receiver(found.answer) as server:
        found.origin = server.origin
        yield found


BEGIN, MORE = notification(notification_id="n1", root="n1"), notification(notification_id="n2", root="n1")
END = resolved(notification_id="n3", root="n1")


@pytest.mark.parametrize("restarts", [False, True], ids=["same worker", "another worker each time"])
async def test_an_incident_is_one_message_which_its_end_changes_with_the_rest_in_its_thread(
    workspace: Workspace, restarts: bool
) -> None:
    bot = workspace.bot()
    others = [notification(notification_id=f"o{i}", root=f"o{i}") for i in range(3)]
    for told in (BEGIN, *others, MORE, END):
        bot = workspace.bot() if restarts else bot
        assert isinstance(await bot.deliver(told), Delivered)
    root, *_, more, end = workspace.messages
    assert len(workspace.messages) == 6
    assert more["thread_ts"] == end["thread_ts"] == root["ts"]
    assert (more["reply_broadcast"], end["reply_broadcast"]) == (True, False)
    assert root["text"].startswith("✅ [resolved]")
    assert root["blocks"] == end["blocks"]
    assert more["text"].startswith("🔴 [error]")


async def test_an_end_whose_message_is_gone_or_cannot_be_read_is_a_message_of_its_own(workspace: Workspace) -> None:
    assert await workspace.bot().deliver(END) == Delivered("posted")
    workspace.refuse = {"conversations.history": "missing_scope"}
    assert await workspace.bot().deliver(END) == Delivered("posted")
    bot = workspace.bot()
    await bot.deliver(BEGIN)
    workspace.refuse = {"chat.update": "message_not_found"}
    outcome = await bot.deliver(END)
    assert outcome == Delivered("posted in its thread; its message could not be changed: message_not_found")


async def test_what_fails_in_between_is_not_posted_twice(workspace: Workspace) -> None:
    bot = workspace.bot()
    await bot.deliver(BEGIN)
    workspace.refuse = {"chat.update": "ratelimited"}
    assert await bot.deliver(END) == Retryable("Slack: ratelimited", 7.0)
    workspace.refuse = {}
    assert isinstance(await bot.deliver(END), Delivered)
    assert len(workspace.messages) == 2


async def test_slacks_words_decide_and_hold_no_token(workspace: Workspace) -> None:
    refused = await workspace.bot("xoxb-another").deliver(BEGIN)
    assert isinstance(refused, Permanent)
    assert "invalid_auth" in refused.reason
    assert "slack_bot_token" in refused.reason
    assert isinstance(await workspace.bot().deliver(hostile()), Delivered)
    for answer, kind in ((answering(503, TOKEN.encode()), Retryable), (answering(200, b"<html>"), Retryable),
                         (answering(404), Permanent), (answering(307, Location="/x"), Permanent)):  # fmt: skip
        async with receiver(answer) as found:
            outcome = await SlackBotChannel(TOKEN, ROOM, seconds=5, api=f"{found.origin}/api/").deliver(BEGIN)
        assert isinstance(outcome, kind), outcome
        assert TOKEN not in str(outcome)
    async with receiver(huge(200)) as found:
        outcome = await SlackBotChannel(TOKEN, ROOM, seconds=0.5, api=f"{found.origin}/api/").deliver(BEGIN)
    assert isinstance(outcome, Retryable)


def test_a_bot_needs_its_channel_and_no_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    (slack,) = [
        one for one in other_channels(load_settings(slack_bot_token=TOKEN, slack_channel=ROOM)) if one.name == "slack"
    ]
    assert isinstance(slack, SlackBotChannel)
    for given, named in (
        ({"slack_bot_token": TOKEN}, "slack_channel"),
        ({"slack_channel": ROOM}, "slack_bot_token"),
        ({"slack_bot_token": TOKEN, "slack_channel": ROOM, "slack_webhook_url": "https://x/y"}, "slack_bot_token"),
        ({"slack_bot_token": TOKEN, "slack_channel": "#alerts"}, "slack_channel"),
    ):
        with pytest.raises(SettingsError, match=rf"^{named}: "):
            other_channels(load_settings(**given))
