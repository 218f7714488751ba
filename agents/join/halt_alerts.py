"""Alerts about partitions halted by too many dead letters: sent at the halt, resolved when the partition goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from agents.join.halts import Halt, TooManyDeadLetters
from agents.output import Output, alert_record
from app.alerting.events.self_monitoring import dead_letters_alert, dead_letters_over
from app.kafka.errors import BrokerUnavailable
from topics.events import AlertEvent
from topics.registry import ALERTS, Topic

log = logging.getLogger(__name__)

NOTIFY_SECONDS = 10.0
"""Seconds that a stopping worker waits until the notification is sent."""


class HaltAlerts:
    """Sender of the alerts about halts. `share`, `window`: the limit on dead letters, for the alert's text.

    `saved` returns once Kafka has the tables. `is_notified`: whether this worker's own notify agent has sent everything
    that is to be sent about an alert.
    """

    def __init__(
        self,
        share: float,
        window: int,
        *,
        saved: Callable[[], Awaitable[None]],
        is_notified: Callable[[AlertEvent], bool],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._share = share
        self._window = window
        self._saved = saved
        self._is_notified = is_notified
        self._now = now

    async def fire(self, halt: TooManyDeadLetters, out: Output) -> None:
        """Send the alert, and wait a moment for the worker that notifies, which may be this one."""
        record = halt.first.record
        alert = dead_letters_alert(
            halt.topic.name, halt.partition, record.offset, record.timestamp / 1000.0,
            halt.first.reason, self._share, self._window, self._now(),
        )  # fmt: skip
        log.critical("%s. %s", alert.title, alert.message)
        try:
            async with asyncio.timeout(NOTIFY_SECONDS):
                await self._saved()  # the offset of the halt, so that the worker that passes it can resolve the alert
                await out.publish(ALERTS, [alert_record(alert, out.partitions)])
                while not self._is_notified(alert):  # noqa: ASYNC110 - the notify agent has no event for it
                    await asyncio.sleep(0.05)
                await self._saved()
        except (TimeoutError, BrokerUnavailable) as error:
            log.warning("the alert is sent by another worker, or by the next one: %r", error)

    async def resolve(self, topic: Topic, stop: Halt, out: Output) -> None:
        """Publish the alert as resolved."""
        over = dead_letters_over(topic.name, stop.partition, stop.offset, stop.since, self._now())
        log.warning("%s. %s", over.title, over.message)
        await out.publish(ALERTS, [alert_record(over, out.partitions)])
