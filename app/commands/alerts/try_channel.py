"""Send a sample through a channel once, for `alerts test` and `alerts receivers test`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.commands.options import print_json

if TYPE_CHECKING:
    from app.alerting.notify.channel import Channel, Outcome
    from app.alerting.notify.notification import Notification
    from app.settings.settings import Settings
    from topics.events import Level


def try_once(settings: Settings, channel: Channel, level: Level, *, resolved: bool, as_json: bool) -> bool:
    """Send a sample through a channel, and show the request and the response.

    Return whether the sample was delivered.
    """
    from app.alerting.channels.exchanges import recording
    from app.alerting.channels.sample import sample
    from app.alerting.notify.channel import Delivered

    notification = sample(level, resolved=resolved, now=datetime.now(UTC), page=settings.page)
    started = time.monotonic()
    with recording() as exchanges:
        outcome = asyncio.run(channel.deliver(notification))
    seconds = time.monotonic() - started
    if as_json:
        shown = [{"sent": one.sent, "body": one.body, "returned": one.returned} for one in exchanges]
        print_json(_answer(channel.name, notification, outcome, seconds) | {"exchanges": shown})
        return isinstance(outcome, Delivered)
    for one in exchanges:
        sent, body, returned = _indented(one.sent), _indented(_pretty(one.body)), _indented(one.returned)
        print(f"sent:\n{sent}\n\n{body}\nreturned:\n{returned}", file=sys.stderr)
    print(f"{channel.name}: {_words(outcome, seconds)}")
    return isinstance(outcome, Delivered)


def _pretty(body: str) -> str:
    """Return JSON indented over several lines, and other text unchanged."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def _indented(text: str) -> str:
    """Return the lines indented, with unprintable characters as spaces: foreign text cannot control the terminal."""
    return "\n".join(f"  {_safe(line)}".rstrip() for line in text.splitlines())


def _safe(line: str) -> str:
    return "".join(character if character.isprintable() else " " for character in line)


def _words(outcome: Outcome, seconds: float) -> str:
    """Return the outcome in words, on one line."""
    from app.alerting.notify.channel import Delivered, Retryable

    if isinstance(outcome, Delivered):
        return f"delivered in {seconds:.2f} s" + (f": {outcome.detail}" if outcome.detail else "")
    failed = f"not delivered, after {seconds:.2f} s: {outcome.reason}"
    if not isinstance(outcome, Retryable):
        return failed
    wait = "" if outcome.after is None else f" (it asks to wait {outcome.after:g} s)"
    return f"{failed}; a worker would try again{wait}"


def _answer(channel: str, notification: Notification, outcome: Outcome, seconds: float) -> dict[str, object]:
    from app.alerting.notify.channel import Delivered, Retryable

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
