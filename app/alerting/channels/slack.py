"""Channel to Slack by an incoming webhook."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, tzinfo

import msgspec
from slack_sdk.webhook.async_client import AsyncWebhookClient

from app.alerting.channels.exchanges import record
from app.alerting.channels.http_post import error_outcome, exchange_of, session
from app.alerting.channels.http_response import http_outcome, secrets_of
from app.alerting.channels.slack_blocks import blocks_of, fallback_of
from app.alerting.notify.channel import Outcome
from app.alerting.notify.notification import Notification
from app.alerting.rendering.content import build_content

ADVICE = "make a new incoming webhook in Slack and set slack_webhook_url"
_SILENT = logging.Logger("slack_sdk", logging.CRITICAL)
"""Logger that discards: the client's own logger would write the webhook's URL, which is the secret."""


class SlackChannel:
    """Channel that posts blocks. A message is delivered once Slack returns `ok`."""

    name = "slack"

    def __init__(self, url: str, *, seconds: float, zone: tzinfo | None = None) -> None:
        self._url = url
        self._seconds = seconds
        self._zone = zone

    async def deliver(self, notification: Notification) -> Outcome:
        """Post once. The client's own retries are off, since the notify agent counts attempts."""
        story = build_content(notification, self._zone)
        secrets = secrets_of(self._url)
        text, blocks = fallback_of(story), blocks_of(story)
        body = msgspec.json.encode({"text": text, "blocks": blocks})
        try:
            async with asyncio.timeout(self._seconds), session(self._seconds) as opened:
                client = AsyncWebhookClient(
                    self._url, timeout=max(1, int(self._seconds)), session=opened, logger=_SILENT, retry_handlers=[]
                )
                answer = await client.send(text=text, blocks=blocks, unfurl_links=False, unfurl_media=False)
        except Exception as error:
            outcome = error_outcome(error, self._seconds, ADVICE)
            if outcome is None:
                raise
            record(exchange_of(self._url, body, {}, "nothing", secrets))
            return outcome
        record(exchange_of(self._url, body, {}, f"HTTP {answer.status_code}\n{answer.body}", secrets))
        return http_outcome(
            answer.status_code, answer.headers.get("Retry-After"), answer.body,
            advice=ADVICE, secrets=secrets, now=datetime.now(UTC),
        )  # fmt: skip
