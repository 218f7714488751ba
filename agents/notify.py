"""Alerts are told through the channels of their model, each once, and what came of it is recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from agents.sending import Publish, Reject
from agents.watermark import advance, next_offset, unapplied
from app.alerting.delivery import Channel, Delivered, Outcome, Permanent, Retryable
from app.core.config import Alerting, Monitoring
from app.ingest.decoding import UNREADABLE, Record, Rejected, reason_of
from topics.events import AlertEvent, DeliveryEvent
from topics.registry import DELIVERIES, REPORTS

log = logging.getLogger(__name__)

Models = Callable[[str, str], Monitoring | None]

KEPT = timedelta(days=2 * REPORTS.retention_days)
"""How long what came of an alert is remembered. An alert is sent again only by judging its report again, and that
has left the log by then: it stays for the retention, and a segment (a week) longer at most."""
PRUNED_EVERY = timedelta(days=1)

_alerts = msgspec.json.Decoder(AlertEvent)
_deliveries = msgspec.json.Decoder(DeliveryEvent)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a channel is tried, how long each attempt may take, and the waits between, in seconds."""

    attempts: int = 4
    attempt_seconds: float = 10.0
    first_wait: float = 0.5
    longest_wait: float = 10.0

    def wait(self, attempt: int, asked: float | None) -> float:
        """The wait after an attempt (from 1): doubled each time, longer where the channel asks for it."""
        return min(self.longest_wait, max(self.first_wait * 2.0 ** (attempt - 1), asked or 0.0))


class Notify:
    """The agent's logic. `table` holds the watermarks, and what came of each alert on each channel, for `KEPT`."""

    def __init__(
        self,
        table: MutableMapping[str, bytes],
        models: Models,
        channels: Mapping[str, Channel],
        *,
        patience: Patience = Patience(),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._table = table
        self._models = models
        self._channels = channels
        self._patience = patience
        self._now = now
        self._sleep = sleep
        self._pruned: dict[int, datetime] = {}

    def position(self, partition: int) -> int | None:
        """The offset to read a partition of `alerts` from; None before anything was applied."""
        return next_offset(self._table, partition)

    def knows(self, alert_id: str) -> bool:
        """Whether an alert was told, or tried in vain, by this worker."""
        return any(f"/{alert_id}/" in key for key in self._table)

    async def handle(self, partition: int, records: Sequence[Record], publish: Publish, reject: Reject) -> None:
        """Take a run, an alert at a time: tell, write what came of it, publish that, raise the watermark."""
        for record in unapplied(self._table, partition, records):
            alert = _alert_of(record)
            if isinstance(alert, Rejected):
                await reject([alert])
            else:
                await self._notify(partition, alert, publish)
            advance(self._table, partition, record.offset + 1)
        self._prune(partition)

    def _prune(self, partition: int) -> None:
        """Forget what is too old to come again; of this partition only, because each writes its own keys."""
        now = self._now()
        if partition in self._pruned and now - self._pruned[partition] < PRUNED_EVERY:
            return
        self._pruned[partition] = now
        keys = [key for key in self._table if key.startswith(f"{partition}/")]
        for key in keys:
            if now - _deliveries.decode(self._table[key]).delivered_at > KEPT:
                del self._table[key]

    async def _notify(self, partition: int, alert: AlertEvent, publish: Publish) -> None:
        keys = {name: f"{partition}/{alert.alert_id}/{name}" for name in self._names(alert)}
        untold = [name for name, key in keys.items() if self._table.get(key) is None]
        for event in await asyncio.gather(*(self._tell(name, alert) for name in untold)):
            self._table[keys[event.channel]] = msgspec.json.encode(event)
        for name, key in keys.items():  # of a repeat too: a crash may have come between writing and publishing
            await publish(DELIVERIES, f"{alert.alert_id}/{name}".encode(), self._table[key], None)

    def _names(self, alert: AlertEvent) -> tuple[str, ...]:
        monitoring = self._models(alert.labels.get("model", ""), alert.labels.get("model_version", ""))
        alerting = Alerting() if monitoring is None else monitoring.alerting
        return tuple(dict.fromkeys(alerting.channels))

    async def _tell(self, name: str, alert: AlertEvent) -> DeliveryEvent:
        channel = self._channels.get(name)
        if channel is None:
            known = ", ".join(sorted(self._channels))
            return self._event(name, alert, 0, Permanent(f"alerting.channels: there is no {name!r}, only {known}"))
        attempt = 1
        outcome = await self._attempt(channel, alert)
        while isinstance(outcome, Retryable) and attempt < self._patience.attempts:
            await self._sleep(self._patience.wait(attempt, outcome.after))
            attempt += 1
            outcome = await self._attempt(channel, alert)
        return self._event(name, alert, attempt, outcome)

    async def _attempt(self, channel: Channel, alert: AlertEvent) -> Outcome:
        try:
            async with asyncio.timeout(self._patience.attempt_seconds):
                return await channel.deliver(alert)
        except TimeoutError:
            return Retryable(f"no answer in {self._patience.attempt_seconds:g} s")
        except Exception as error:  # noqa: BLE001 - one broken channel must not stop the others, nor the stream
            # Only the type: an error's words may hold an address with a secret in it.
            return Permanent(f"the channel failed with {type(error).__name__}")

    def _event(self, name: str, alert: AlertEvent, attempts: int, outcome: Outcome) -> DeliveryEvent:
        delivered = isinstance(outcome, Delivered)
        detail = outcome.detail if isinstance(outcome, Delivered) else outcome.reason
        if not delivered:
            log.error("alert %s not told through %r after %d attempts: %s", alert.alert_id, name, attempts, detail)
        return DeliveryEvent(
            alert_id=alert.alert_id,
            fingerprint=alert.fingerprint,
            channel=name,
            outcome="delivered" if delivered else "failed",
            attempts=attempts,
            detail=detail,
            delivered_at=self._now(),
        )


def _alert_of(record: Record) -> AlertEvent | Rejected:
    if record.value is None:
        return Rejected(record, "the record has no value")
    try:
        alert = _alerts.decode(record.value)
    except UNREADABLE as error:
        return Rejected(record, reason_of(error))
    return alert if alert.emitted_at.tzinfo is not None else Rejected(record, "`emitted_at` has no time zone")
