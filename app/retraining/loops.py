"""Loops that turn firing alerts into retraining signals, and deliver signals to the hooks, at least once each.

The loops are members of two consumer groups of their own, separate from the Faust app. The topic `retraining` shows
what was signalled, so an alert that is read again causes no second signal. Offsets are committed afterwards: when the
signal is in Kafka, or the hook has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import UTC, datetime

import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from app.ingest.decoding import Rejected, decode
from app.kafka.client_options import consumer_options
from app.kafka.consumer import Consumer
from app.kafka.errors import BrokerUnavailable
from app.kafka.producer import Producer
from app.retraining import Hook, HookFailed, SignalsTable, of_alert, publish
from app.settings.settings import Settings
from topics.events import AlertEvent, RetrainingEvent
from topics.registry import ALERTS, RETRAINING, Topic

log = logging.getLogger(__name__)

STALE_SECONDS = 86_400.0
"""Age in seconds above which an alert or signal is ignored, so that a new group does not handle old ones."""
ATTEMPTS, WAIT_SECONDS = 3, 5.0
AGAIN_SECONDS = 2.0
ANSWER_MS = 11_000
WHOLE_SECONDS = 5.0

_alerts = msgspec.json.Decoder(AlertEvent)
_signals = msgspec.json.Decoder(RetrainingEvent)


class Retrain:
    """Both loops of one worker.

    After an error of Kafka they wait and try again. The worker itself notices such errors too.
    """

    def __init__(self, settings: Settings, producer: Producer, hooks: Sequence[Hook]) -> None:
        self._settings = settings
        self._producer = producer
        self._hooks = hooks

    async def run(self) -> None:
        """Run the loops until cancelled."""
        loops = [self._signal, *((self._tell,) if self._hooks else ())]
        async with asyncio.TaskGroup() as group:  # the group ends when both loops have closed their connections
            for loop in loops:
                group.create_task(self._for_ever(loop))

    async def _for_ever(self, loop: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await loop()
            except (KafkaError, BrokerUnavailable, IllegalStateError, OSError) as error:
                log.warning("retraining waits for Kafka: %s", error)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                log.warning("retraining waits for Kafka: a request to it was given up")  # aiokafka cancels requests
            await asyncio.sleep(AGAIN_SECONDS)

    async def _signal(self) -> None:
        debounce = self._settings.retraining_debounce_seconds
        async with (
            SignalsTable(self._settings) as signals,
            contextlib.aclosing(_records(self._settings, ALERTS, "retraining")) as records,
        ):
            async for record in records:
                alert = decode(record, _alerts)  # the notify agent reports records that are no alerts
                if isinstance(alert, Rejected) or _age(alert.emitted_at) > STALE_SECONDS:
                    continue
                signal = of_alert(alert, datetime.now(UTC))
                if signal is not None and await publish(self._producer, signals, signal, debounce):
                    log.warning("%s %s should be trained anew: %s", signal.model, signal.model_version, signal.message)

    async def _tell(self) -> None:
        async with contextlib.aclosing(_records(self._settings, RETRAINING, "retraining-hook")) as records:
            async for record in records:
                signal = decode(record, _signals)
                if not isinstance(signal, Rejected) and _age(signal.requested_at) <= STALE_SECONDS:
                    await asyncio.gather(*(_told(hook, signal, record.value) for hook in self._hooks))


async def _told(hook: Hook, signal: RetrainingEvent, event: bytes) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await hook.run(event)
        except HookFailed as error:
            log.error("signal %s, attempt %d of %d: %s", signal.signal_id, attempt, ATTEMPTS, error)
            if attempt < ATTEMPTS:
                await asyncio.sleep(WAIT_SECONDS)
        else:
            log.info("signal %s was taken by the hook", signal.signal_id)
            return


async def _records(settings: Settings, topic: Topic, group: str) -> AsyncGenerator[ConsumerRecord]:
    """Yield a group's records of a topic. Each record is committed when the next one is requested."""
    longest = settings.retraining_timeout_seconds * ATTEMPTS + 300
    consumer = Consumer(
        topic.full_name(settings.prefix), **consumer_options(settings),
        group_id=f"{settings.group}-{group}", enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=topic.max_message_bytes, max_poll_interval_ms=round(min(longest, 1e6) * 1000),
        session_timeout_ms=int(settings.session_seconds * 1000),
        heartbeat_interval_ms=int(settings.session_seconds * 1000 / 4),
        request_timeout_ms=max(ANSWER_MS, int(settings.session_seconds * 1000) + 1000),
    )  # fmt: skip
    try:
        await _whole(consumer.start())
        async for record in consumer:
            yield record
            with contextlib.suppress(CommitFailedError, IllegalStateError):  # another member repeats it
                await _whole(consumer.commit({TopicPartition(record.topic, record.partition): record.offset + 1}))
    finally:
        await consumer.stop()


async def _whole(doing: Awaitable[None]) -> None:
    """Wait until an operation ends, even if the caller is cancelled.

    A request to Kafka that is given up half way leaves its connection open.
    """
    task = asyncio.ensure_future(doing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=WHOLE_SECONDS)
        raise


def _age(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()
