"""Channel to Slack by a bot: one message for each incident, with later notifications in its thread.

The end of the incident changes the message. https://docs.slack.dev/reference/methods/chat.postMessage, chat.update and
conversations.history. The bot needs `chat:write`, and `channels:history` (`groups:history` in a private channel) to
find its message after a restart.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo

import aiohttp
import msgspec

from app.alerting.channels.delivered_to import DeliveredTo
from app.alerting.channels.exchanges import Exchange, record
from app.alerting.channels.http_post import error_outcome, session
from app.alerting.channels.http_response import http_outcome, quote, seconds_of
from app.alerting.channels.slack_blocks import blocks_of, fallback_of
from app.alerting.notify.channel import Delivered, Outcome, Permanent, Retryable
from app.alerting.notify.notification import Notification
from app.alerting.rendering.content import build_content

ADVICE = "check slack_bot_token, its scopes, and slack_channel"
API = "https://slack.com/api/"
EVENT = "driftline_incident"
"""Type of a message's metadata, which contains the incident."""
PASSING = frozenset({
    "fatal_error", "internal_error", "ratelimited", "rate_limited", "request_timeout", "service_unavailable",
})  # fmt: skip
"""Slack's temporary errors. All others mean that something is set up wrongly."""
MOST_READ = 2 << 20
MOST_PAGES = 5
MOST_KNOWN = 1000


class _Failed(Exception):
    """Error for a call that Slack refused: its outcome, and Slack's own error code."""

    def __init__(self, outcome: Retryable | Permanent, error: str = "") -> None:
        super().__init__(error)
        self.outcome = outcome
        self.error = error


class SlackBotChannel:
    """Channel that posts by the Web API. `channel`: the channel's id.

    Slack has a message once the response says `ok`, whatever its status.
    """

    name = "slack"

    def __init__(self, token: str, channel: str, *, seconds: float, zone: tzinfo | None = None, api: str = API) -> None:
        self._token = token
        self._channel = channel
        self._seconds = seconds
        self._zone = zone
        self._api = api
        self._roots: OrderedDict[str, str] = OrderedDict()
        self._told = DeliveredTo()

    async def deliver(self, notification: Notification) -> Outcome:
        """Post the incident's message, or a reply in its thread. A resolved notification also changes the message."""
        try:
            async with asyncio.timeout(self._seconds), session(self._seconds) as opened:
                return await self._deliver(opened, notification)
        except _Failed as failed:
            return failed.outcome
        except Exception as error:
            outcome = error_outcome(error, self._seconds, ADVICE)
            if outcome is None:
                raise
            return outcome

    async def _deliver(self, opened: aiohttp.ClientSession, notification: Notification) -> Outcome:
        story = build_content(notification, self._zone)
        root = notification.root or notification.notification_id
        message: dict[str, object] = {"channel": self._channel, "text": fallback_of(story), "blocks": blocks_of(story)}
        ts = None if root == notification.notification_id else await self._found(opened, root)
        if ts is None:
            quiet = {"unfurl_links": False, "unfurl_media": False}
            metadata = {"event_type": EVENT, "event_payload": {"incident": root}}
            answer = await self._call(opened, "chat.postMessage", message | quiet | {"metadata": metadata})
            self._remember(root, str(answer.get("ts", "")))
            return Delivered("posted")
        if not self._told.by(notification.notification_id):
            more = {"thread_ts": ts, "reply_broadcast": notification.status == "firing"}
            await self._call(opened, "chat.postMessage", message | more)
            self._told.add(notification.notification_id, ["thread"])
        said = "posted in its thread"
        if notification.status == "resolved":
            said += await self._changed(opened, message | {"ts": ts})
        self._told.settled(notification.notification_id)
        return Delivered(said)

    async def _changed(self, opened: aiohttp.ClientSession, message: Mapping[str, object]) -> str:
        """Change the incident's message, which somebody may have deleted. Return words about the result."""
        try:
            await self._call(opened, "chat.update", message)
        except _Failed as failed:
            if isinstance(failed.outcome, Retryable):
                raise
            return f"; its message could not be changed: {failed.error}"
        return ", and its message changed"

    async def _found(self, opened: aiohttp.ClientSession, root: str) -> str | None:
        """Return the timestamp of the incident's message, from memory or else from Slack; None where there is none."""
        if root in self._roots:
            return self._roots[root]
        cursor = ""
        for _ in range(MOST_PAGES):
            query = {"channel": self._channel, "include_all_metadata": "true", "limit": "200", "cursor": cursor}
            try:
                answer = await self._call(opened, "conversations.history", query, asks=True)
            except _Failed as failed:
                if isinstance(failed.outcome, Retryable):
                    raise
                return None
            messages = answer.get("messages")
            for message in messages if isinstance(messages, list) else []:
                if message.get("metadata", {}).get("event_payload", {}).get("incident") == root:
                    self._remember(root, str(message["ts"]))
                    return self._roots[root]
            more = answer.get("response_metadata")
            cursor = str(more.get("next_cursor", "")) if isinstance(more, dict) else ""
            if not cursor:
                break
        return None

    def _remember(self, root: str, ts: str) -> None:
        self._roots[root] = ts
        while len(self._roots) > MOST_KNOWN:
            self._roots.popitem(last=False)

    async def _call(
        self, opened: aiohttp.ClientSession, method: str, given: Mapping[str, object], *, asks: bool = False
    ) -> dict[str, object]:
        """Call a method of the Web API and return its response. Raises _Failed where Slack refuses the call."""
        headers = {"Authorization": f"Bearer {self._token}"}
        body = msgspec.json.encode(given)
        request = (
            opened.get(self._api + method, params={k: str(v) for k, v in given.items() if v}, headers=headers)
            if asks
            else opened.post(
                self._api + method, data=body, headers=headers | {"Content-Type": "application/json; charset=utf-8"}
            )
        )
        async with request as answer:
            text = await _read(answer)
            record(Exchange(f"{'GET' if asks else 'POST'} {method}", body.decode(), quote(text, [self._token])))
            retry_after = answer.headers.get("Retry-After")
            if answer.status != 200:
                outcome = http_outcome(
                    answer.status, retry_after, text, advice=ADVICE, secrets=[self._token], now=datetime.now(UTC)
                )
                raise _Failed(Retryable("Slack's answer is not its own") if isinstance(outcome, Delivered) else outcome)
        try:
            found = msgspec.json.decode(text, type=dict[str, object])
        except msgspec.MsgspecError:
            raise _Failed(Retryable("Slack's answer is not JSON")) from None
        if found.get("ok") is True:
            return found
        error = quote(str(found.get("error", "no error is named")), [self._token])
        if error in PASSING:
            raise _Failed(Retryable(f"Slack: {error}", seconds_of(retry_after, datetime.now(UTC))), error)
        raise _Failed(Permanent(f"Slack: {error} ({method}); {ADVICE}"), error)


async def _read(answer: aiohttp.ClientResponse) -> str:
    found = bytearray()
    while len(found) < MOST_READ and (chunk := await answer.content.read(1 << 16)):
        found += chunk
    answer.close()
    return found.decode(errors="replace")
