"""A worker: the four agents in one Faust app, with the views and the producer that they use."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from faust.types import TP

from agents.alerts import Alerts
from agents.join import Join, TooManyDeadLetters
from agents.notify import Notify
from agents.pane_events import key_of, partition_of
from agents.windows import WindowsAgent
from app.alerting.channels import channels_of
from app.alerting.monitor import dead_letters_alert
from app.core.config import Monitoring
from app.ingest.dead_letter_limit import DeadLetterLimit
from app.ingest.decoding import Rejected
from app.runtime.errors import BrokerUnavailable, Held, StateLost
from app.runtime.faust_app import FAILED, add_agent, changelogs, make_app, make_table
from app.runtime.models_view import ModelsView
from app.runtime.producer import Outgoing, Producer
from app.runtime.quarantine import Quarantine, Quarantined
from app.runtime.settings import Settings
from app.runtime.topic_admin import ensure_topics
from app.runtime.transport import Log
from app.runtime.watchdog import Watchdog, end_process
from topics.events import PaneEvent
from topics.registry import ALERTS, DEAD_LETTERS, FEEDBACK, PANES, PREDICTIONS, REPORTS, Topic

log = logging.getLogger(__name__)

DRAIN_SECONDS = 3.0
"""To apply and save what the agents have been given."""
STOP_SECONDS = 3.5
TELL_SECONDS = 10.0
"""To tell of an alert before the worker that raises it is gone."""
LAST_SECONDS = 7.5
"""After a signal the process is gone by then, whatever hangs: the state bears it."""


class Worker:
    """Everything that a worker process holds, wired once."""

    def __init__(self, settings: Settings, producer: Producer, models: ModelsView) -> None:
        self.settings = settings
        self.producer = producer
        self.models = models
        self.app = make_app(settings)
        tables = {n: make_table(self.app, n, settings.partitions) for n in ("join", "windows", "alerts", "notify")}
        watched = [topic.full_name(settings.prefix) for topic in (PREDICTIONS, FEEDBACK, PANES, REPORTS)]
        servers = settings.bootstrap_servers or "localhost:9092"
        self.watchdog = Watchdog(self.app, servers, watched, settings.stall_seconds, end_process(FAILED))
        self._started_at = time.time()
        self.join = Join(
            tables["join"], models, checkpoint_seconds=settings.checkpoint_seconds, alive=self.watchdog.alive,
            log_of=self._log_of, limit=self._limit,
        )  # fmt: skip
        self.windows = WindowsAgent(
            tables["windows"], models.get, partitions=settings.partitions, reissue_seconds=settings.reissue_seconds
        )
        page = f"http://{settings.api_host}:{settings.api_port}"
        self.alerts = Alerts(tables["alerts"], self._monitoring, catch_up=models.catch_up, page=page)
        self.notify = Notify(tables["notify"], self._monitoring, channels_of(settings.alerts_dir))
        self._bind()

    def _monitoring(self, model: str, version: str) -> Monitoring | None:
        found = self.models.get(model, version)
        return None if found is None else found.monitoring

    def _log_of(self, partition: int, topic: int) -> Log | None:
        name = (PREDICTIONS, FEEDBACK)[topic].full_name(self.settings.prefix)
        found: Log | None = self.app.consumer.logs.get(TP(name, partition))
        return found

    def _limit(self, recent: Sequence[int]) -> DeadLetterLimit:
        accepted_until = round(self._started_at * 1000) if self.settings.accept_dead_letters else None
        return DeadLetterLimit(
            self.settings.dead_letter_share, self.settings.dead_letter_window, recent, accepted_until
        )

    def _bind(self) -> None:
        app, settings = self.app, self.settings
        quarantine = Quarantine(settings.state_dir / "quarantine.json")
        add = partial(add_agent, app, settings, quarantine)

        def join_position(tp: TP, number: int) -> int:
            try:
                return self.join.position(tp.partition, number)
            except StateLost as lost:
                end_process(os.EX_CONFIG, where=False)(str(lost))
                raise

        add("join", [PREDICTIONS, FEEDBACK], join_position, self._join, held=self._held)
        add("windows", [PANES], lambda tp, _: self.windows.position(tp.partition), self._windows)
        add("alerts", [REPORTS], lambda tp, _: self.alerts.position(tp.partition) or 0, self._alerts)
        add("notify", [ALERTS], lambda tp, _: self.notify.position(tp.partition) or 0, self._notify)

        async def revoked(*_: Any, **__: Any) -> None:
            log.info("partitions revoked: their state is dropped, and recovered when they come back")
            self.join.forget()
            self.windows.forget()

        # Connected strongly: a signal keeps weak references, and a local function would be gone at once.
        self._revoked = revoked
        app.on_partitions_revoked.connect(revoked)

    async def _join(self, partition: int, topic: int, run: list[Any], caught_up: bool) -> None:
        await self.join.handle(partition, topic, run, self.publish_panes, self.reject, caught_up=caught_up)

    async def _windows(self, partition: int, topic: int, run: list[Any], caught_up: bool) -> None:
        await self.windows.handle(partition, run, self.publish_reports, self.reject, caught_up=caught_up)

    async def _alerts(self, partition: int, topic: int, run: list[Any], caught_up: bool) -> None:
        if run:
            await self.alerts.handle(partition, run, self.publish, self.reject)

    async def _notify(self, partition: int, topic: int, run: list[Any], caught_up: bool) -> None:
        if run:
            await self.notify.handle(partition, run, self.publish, self.reject)

    async def _held(self, held: Held) -> None:
        """Raise an alert that the stream stands still, and leave it a moment to be told by whoever notifies."""
        if not isinstance(held, TooManyDeadLetters):
            return
        record = held.first.record
        alert = dead_letters_alert(
            record.topic.removeprefix(self.settings.prefix), record.partition, record.offset, record.timestamp / 1000.0,
            held.first.reason, self.settings.dead_letter_share, self.settings.dead_letter_window, datetime.now(UTC),
        )  # fmt: skip
        log.critical("%s. %s", alert.title, alert.message)
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await self.publish(ALERTS, alert.fingerprint.encode(), msgspec.json.encode(alert), None)
                while not self.notify.knows(alert.alert_id):  # noqa: ASYNC110 - the agent tells nobody
                    await asyncio.sleep(0.05)
                await self.app.producer.flush()
        except (TimeoutError, BrokerUnavailable) as error:
            log.warning("the alert is told by another worker, or by the next: %r", error)

    # What agents send with

    async def publish(self, topic: Topic, key: bytes, value: bytes, partition: int | None) -> None:
        """One record, acknowledged."""
        await self.producer.send(topic, key, value, partition)

    async def publish_panes(self, events: Sequence[PaneEvent]) -> None:
        """Panes and progress, each to the partition of its model version, in order."""
        if events:
            await self._send(PANES, [self._pane(event) for event in events])

    def _pane(self, event: PaneEvent) -> Outgoing:
        partition = partition_of(event.model, event.model_version, self.settings.partitions)
        return Outgoing(key_of(event), msgspec.json.encode(event), partition)

    async def publish_reports(self, partition: int, reports: Sequence[tuple[bytes, bytes]]) -> None:
        """Reports, to the partition that has their panes."""
        await self._send(REPORTS, [Outgoing(key, value, partition) for key, value in reports])

    async def reject(self, rejected: Sequence[Rejected]) -> None:
        """Dead letters: bytes and key as they came, the reason and the origin in headers."""
        await self._send(DEAD_LETTERS, [_dead_letter(one) for one in rejected])
        log.warning("%d records to the dead letters; the first: %s", len(rejected), rejected[0].reason)

    async def drain(self) -> None:
        """Take nothing more, and save what was taken, so that the next worker finds nothing to do again."""
        consumer = self.app.consumer
        consumer.draining = True
        self.join.drain()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while consumer.unfinished or not self.join.saved:  # noqa: ASYNC110 - the agents tell nobody
                    await asyncio.sleep(0.02)
                await consumer.commit_applied()
        except TimeoutError:
            log.warning("not all that was taken could be saved in %g s: it is read again", DRAIN_SECONDS)

    async def _send(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        refused = await self.producer.send_many(topic, records)
        if refused:
            raise RuntimeError(f"{topic.name}: {refused[0].reason}")


def _dead_letter(rejected: Rejected) -> Outgoing:
    record, reason = rejected.record, rejected.reason
    if isinstance(record, Quarantined):
        record, reason = record.original, record.reason
    headers = [
        ("driftline-reason", reason.encode()),
        ("driftline-topic", record.topic.encode()),
        ("driftline-partition", str(record.partition).encode()),
        ("driftline-offset", str(record.offset).encode()),
    ]
    return Outgoing(record.key, record.value, None, [*record.headers, *headers])


def run_worker(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT; answers the exit status."""
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    for noisy in ("faust", "mode", "aiokafka", "kafka"):
        logging.getLogger(noisy).setLevel("WARNING" if settings.log_level == "INFO" else settings.log_level)
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await ensure_topics(settings)
    async with Producer(settings) as producer, ModelsView(settings) as models:
        worker = Worker(settings, producer, models)
        await ensure_topics(settings, (), changelogs(worker.app, settings.partitions))
        worker.app.finalize()
        await worker.app.start()
        worker.watchdog.start()
        log.info("worker of group %s runs on %s", settings.group, settings.bootstrap_servers)
        crashed = worker.app._crashed
        waits = [asyncio.create_task(event.wait()) for event in (stopping, crashed)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if crashed.is_set():
            log.critical("the worker crashed: %r", worker.app.crash_reason)
            return FAILED
        _end_at_last()
        await worker.drain()
        try:
            await asyncio.wait_for(worker.app.stop(), STOP_SECONDS)
        except TimeoutError:
            log.warning("stopped after %g s with something still running", STOP_SECONDS)
        log.info("stopped")
        return 0


def _end_at_last() -> None:
    """End the process when its end takes too long: whoever stops it would kill it."""
    last = threading.Timer(LAST_SECONDS, os._exit, (0,))
    last.daemon = True
    last.start()
