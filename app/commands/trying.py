"""A sample through a channel, once: what `alerts test` and `alerts receivers test` share."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.commands.common import print_json

if TYPE_CHECKING:
    from app.alerting.delivery import Channel, Outcome
    from app.alerting.notification import Notification
    from app.runtime.settings import Settings
    from topics.events import Level


def try_once(settings: Settings, channel: Channel, level: Level, *, resolved: bool, as_json: bool) -> bool:
    """Send it, and say what came back; answers whether it was delivered."""
    from app.alerting.delivery import Delivered, Retryable
    from app.alerting.sample import sample

    notification = sample(level, resolved=resolved, now=datetime.now(UTC), page=settings.page)
    started = time.monotonic()
    outcome = asyncio.run(channel.deliver(notification))
    seconds = time.monotonic() - started
    if as_json:
        print_json(_answer(channel.name, notification, outcome, seconds))
    else:
        words = outcome.detail if isinstance(outcome, Delivered) else outcome.reason
        if isinstance(outcome, Retryable) and outcome.after is not None:
            words += f"; it asks to wait {outcome.after:g} s"
        print(f"{channel.name}: {type(outcome).__name__.lower()} in {seconds:.2f} s" + (f": {words}" if words else ""))
    return isinstance(outcome, Delivered)


def _answer(channel: str, notification: Notification, outcome: Outcome, seconds: float) -> dict[str, object]:
    from app.alerting.delivery import Delivered, Retryable

    return {
        "channel": channel,
        "notification_id": notification.notification_id,
        "status": notification.status,
        "level": notification.level,
        "outcome": type(outcome).__name__.lower(),
        "detail": outcome.detail if isinstance(outcome, Delivered) else outcome.reason,
        "retry_after": outcome.after if isinstance(outcome, Retryable) else None,
        "seconds": round(seconds, 3),
    }
