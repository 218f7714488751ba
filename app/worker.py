"""A worker: the four agents in one Faust app, with the views and the producer that they use."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import os
import platform
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from faust.types import TP

from agents.alerts import Alerts
from agents.join import SOURCES, Join, TooManyDeadLetters
from agents.monitor import SelfMonitor
from agents.notify import Notify
from agents.notify_settings import CurrentMuting, patience_of, routing_of
from agents.pane_events import key_of, partition_of
from agents.retrain import Retrain
from agents.sending import Reject, dead_letter
from agents.windows import WindowsAgent
from app.alerting.channels import channels_of
from app.alerting.delivery import Channel
from app.alerting.monitor import SELF, dead_letters_alert, dead_letters_over
from app.channel_setup import other_channels
from app.core.config import Monitoring
from app.ingest.dead_letter_limit import DeadLetterLimit
from app.ingest.decoding import Rejected
from app.receiver_channels import ReceiverChannels
from app.retraining import hooks_of
from app.runtime.errors import BrokerUnavailable, Held, StateLost
from app.runtime.faust_app import FAILED, Handler, add_agent, changelogs, make_app, make_table
from app.runtime.kafka_access import client_options
from app.runtime.listening import listen
from app.runtime.models_view import ModelsView
from app.runtime.producer import Outgoing, Producer
from app.runtime.quarantine import Quarantine
from app.runtime.receivers_view import ReceiversView
from app.runtime.recovery import tell_recovery
from app.runtime.redelivered_view import RedeliveredView
from app.runtime.runs import Log
from app.runtime.settings import Settings
from app.runtime.silences_view import SilencesView
from app.runtime.topic_admin import ensure_topics
from app.runtime.watchdog import Watchdog, end_process
from app.runtime.watching import Watching
from app.standing import Standing
from app.telemetry import logs, tracing
from app.telemetry.probe import Probe
from app.telemetry.stream import StreamMetrics
from topics.events import PaneEvent
from topics.registry import ALERTS, DEAD_LETTERS, FEEDBACK, PANES, PREDICTIONS, REPORTS, Topic

log = logging.getLogger(__name__)

DRAIN_SECONDS = 3.0
"""To apply and save what the agents have been given."""
STOP_SECONDS = 3.0
TELLING_SECONDS = 1.5
"""How long a worker that stops waits for what it is telling; what it does not see the end of is told again."""
TELL_SECONDS = 10.0
"""To tell of an alert before the worker that raises it is gone."""
LAST_SECONDS = 7.5
"""After a signal the process is gone by then, whatever hangs: the state bears it."""

GARBAGE_THRESHOLD = 50_000
"""Objects after which Python looks for cycles: a run makes thousands of objects, none of them in one."""
GARBAGE_SECONDS = 5.0
"""After so long it looks in any case, at what is new: a few objects in a cycle may hold a whole fetch."""


class Worker:
    """Everything that a worker process holds, wired once."""

    def __init__(
        self,
        settings: Settings,
        producer: Producer,
        models: ModelsView,
        silences: SilencesView,
        redelivered: RedeliveredView,
        channels: Mapping[str, Channel],
    ) -> None:
        self.settings = settings
        self.producer = producer
        self.watching = Watching(settings, models)
        self._of_itself = self.watching.of(SELF, Monitoring(), {})
        self.app = make_app(settings)
        tables = {n: make_table(self.app, n, settings.partitions) for n in ("join", "windows", "alerts", "notify")}
        watched = [topic.full_name(settings.prefix) for topic in (PREDICTIONS, FEEDBACK, PANES, REPORTS)]
        self.watchdog = Watchdog(
            self.app, client_options(settings), watched, settings.stall_seconds, end_process(FAILED)
        )
        self._started_at = time.time()
        self.metrics = StreamMetrics()
        self.traces = tracing.RunTraces()
        self.join = Join(
            tables["join"], models, checkpoint_seconds=settings.checkpoint_seconds, alive=self.watchdog.alive,
            log_of=self._log_of, limit=self._limit,
        )  # fmt: skip
        self.windows = WindowsAgent(
            tables["windows"], models.get, partitions=settings.partitions, reissue_seconds=settings.reissue_seconds,
            reported=self.metrics.reported,
        )  # fmt: skip
        page = f"http://{settings.api_host}:{settings.api_port}"
        self.alerts = Alerts(tables["alerts"], self._monitoring, catch_up=models.catch_up, page=page)
        self.standing = Standing(self.app, settings, self.metrics, self.join, self.alerts)
        self.monitor = SelfMonitor(settings.group, platform.node())
        self.notify = Notify(
            tables["notify"], self._monitoring, channels,
            routing=routing_of(settings), muting=CurrentMuting(settings, silences), patience=patience_of(settings),
            saved=self._saved, redelivered=redelivered.heard,
        )  # fmt: skip
        self._bind()

    def _monitoring(self, model: str, version: str) -> Monitoring | None:
        if (model, version) == (SELF, self.settings.group):
            return self._of_itself
        return self.watching.get(model, version)

    def _log_of(self, partition: int, topic: int) -> Log | None:
        name = SOURCES[topic].full_name(self.settings.prefix)
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

        def add(
            name: str, topics: list[Topic], position: Callable[[TP, int], int], handle: Handler, **more: Any
        ) -> None:
            measured = self.metrics.measured(name, topics, handle)
            traced = tracing.remembering(measured) if name == "notify" else self.traces.traced(name, measured)
            add_agent(app, settings, quarantine, name, topics, position, traced, **more)

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

        app.transport.on_recovered = self._forget

        async def revoked(*_: Any, **__: Any) -> None:
            log.info("partitions revoked: their state is dropped, and recovered when they come back")
            self._forget()

        # Connected strongly: a signal keeps weak references, and a local function would be gone at once.
        self._revoked = revoked
        app.on_partitions_revoked.connect(revoked)

    def _forget(self) -> None:
        self.join.forget()
        self.windows.forget()
        self.notify.forget()
        self.monitor.forget()
        self.metrics.forget()
        self.traces.forget()

    async def _join(self, partition: int, topic: int, run: list[Any], caught_up: bool) -> None:
        self.metrics.joining(partition, run)
        reject = self._reject_of(SOURCES[topic], partition)
        await self.join.handle(partition, topic, run, self.publish_panes, reject, caught_up=caught_up)
        await self._tell_passed(partition)
        named = SOURCES[topic]
        end = self.app.consumer.highwater(TP(named.full_name(self.settings.prefix), partition))
        self.monitor.read(named.name, partition, run, end)
        report = self.monitor.due()
        if report is not None:
            key = f"{report.model}/{report.model_version}/monitor/{report.worker}".encode()
            number = partition_of(report.model, report.model_version, self.settings.partitions)
            with tracing.aside():
                await self.publish_reports(number, [(key, msgspec.json.encode(report))])

    async def _tell_passed(self, partition: int) -> None:
        """Resolve the alert that the stream stands still, once it does not."""
        for stop in self.join.passed(partition):
            if stop.last:
                name, now = SOURCES[stop.topic].name, datetime.now(UTC)
                over = dead_letters_over(name, stop.partition, stop.offset, stop.since, now)
                log.warning("%s. %s", over.title, over.message)
                await self.publish(ALERTS, over.fingerprint.encode(), msgspec.json.encode(over), None)
            self.join.release(stop)

    async def _windows(self, partition: int, topic: int, run: list[Any], caught_up: bool) -> None:
        self.metrics.judging(run)
        reject = self._reject_of(PANES, partition)
        await self.windows.handle(partition, run, self.publish_reports, reject, caught_up=caught_up)

    async def _alerts(self, partition: int, topic: int, run: list[Any], caught_up: bool) -> None:
        if run:
            await self.alerts.handle(partition, run, self.publish, self._reject_of(REPORTS, partition))

    async def _notify(self, partition: int, topic: int, run: list[Any], caught_up: bool) -> None:
        await self.notify.handle(partition, run, self.publish, self._reject_of(ALERTS, partition))

    async def _held(self, held: Held) -> None:
        """Raise an alert that the stream stands still, and leave it a moment to be told by whoever notifies."""
        if not isinstance(held, TooManyDeadLetters):
            return
        record = held.first.record
        alert = dead_letters_alert(
            held.topic.name, held.partition, record.offset, record.timestamp / 1000.0,
            held.first.reason, self.settings.dead_letter_share, self.settings.dead_letter_window, datetime.now(UTC),
        )  # fmt: skip
        log.critical("%s. %s", alert.title, alert.message)
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await self._saved()  # where it stopped, so that the worker that passes it can say so
                await self.publish(ALERTS, alert.fingerprint.encode(), msgspec.json.encode(alert), None)
                while not self.notify.knows(alert):  # noqa: ASYNC110 - the agent tells nobody
                    await asyncio.sleep(0.05)
                await self.app.producer.flush()
        except (TimeoutError, BrokerUnavailable) as error:
            log.warning("the alert is told by another worker, or by the next: %r", error)

    async def _saved(self) -> None:
        """Return once all that was written to tables is in their changelogs."""
        producer = self.app.producer
        await producer.flush()
        while producer.buffer.size:  # its flush gives up when nothing was sent for a moment
            await producer.flush()
        await asyncio.sleep(0)
        await producer.flush()

    # What agents send with

    async def publish(self, topic: Topic, key: bytes, value: bytes, partition: int | None) -> None:
        """One record, acknowledged. An alert goes to the partition of its model version, as its report did."""
        if topic is ALERTS and partition is None:
            partition = partition_of(*_model_of(value), self.settings.partitions)
        await self.producer.send(topic, key, value, partition)
        self.metrics.published(topic, [value])
        self.metrics.told(topic, value)

    async def publish_panes(self, events: Sequence[PaneEvent]) -> None:
        """Panes and progress, each to the partition of its model version, in order."""
        if events:
            await self._send(PANES, [self._pane(event) for event in events])
            self.metrics.panes(events)

    def _pane(self, event: PaneEvent) -> Outgoing:
        partition = partition_of(event.model, event.model_version, self.settings.partitions)
        return Outgoing(key_of(event), msgspec.json.encode(event), partition)

    async def publish_reports(self, partition: int, reports: Sequence[tuple[bytes, bytes]]) -> None:
        """Reports, to the partition that has their panes."""
        await self._send(REPORTS, [Outgoing(key, value, partition) for key, value in reports])

    def _reject_of(self, topic: Topic, partition: int) -> Reject:
        return partial(self.reject, topic.full_name(self.settings.prefix), partition)

    async def reject(self, topic: str, partition: int, rejected: Sequence[Rejected]) -> None:
        """Dead letters: bytes and key as they came, the reason and the origin in headers."""
        await self._send(DEAD_LETTERS, [dead_letter(topic, partition, one) for one in rejected])
        self.monitor.rejected(rejected)
        self.metrics.dead_letters(topic.removeprefix(self.settings.prefix), [one.reason for one in rejected])
        first = rejected[0]
        about = {"topic": topic, "partition": partition, "offset": first.record.offset, "records": len(rejected)}
        log.warning("%d records to the dead letters; the first: %s", len(rejected), first.reason, extra=about)

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
        self.metrics.published(topic, [record.value for record in records])


class _Labelled(msgspec.Struct):
    labels: dict[str, str]


def _model_of(alert: bytes) -> tuple[str, str]:
    labels = msgspec.json.decode(alert, type=_Labelled).labels
    return labels.get("model", ""), labels.get("model_version", "")


def run_worker(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT; answers the exit status.

    Raises SettingsError for a channel half set up, PortTaken.
    """
    channels = channels_of(settings.alerts_dir, other_channels(settings))
    listening = None
    if settings.metrics_port is not None:
        who = ("the worker's metrics", "metrics_port", "--metrics-port")
        listening = listen(settings.metrics_host, settings.metrics_port, *who)
    logs.set_up(settings.log_level, settings.log_format)
    tracing.set_up("driftline-worker", settings.otlp_endpoint)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    # What is judged with takes a second to import: meanwhile there is Kafka to be waited for.
    threading.Thread(target=importlib.import_module, args=["scipy.stats"], daemon=True).start()
    try:
        return asyncio.run(_run(settings, channels, listening))
    finally:
        tracing.close()


async def _run(settings: Settings, channels: Mapping[str, Channel], listening: socket.socket | None) -> int:
    gc.set_threshold(GARBAGE_THRESHOLD)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await ensure_topics(settings)
    async with (
        Producer(settings) as producer,
        ModelsView(settings) as models,
        SilencesView(settings) as silences,
        ReceiversView(settings) as receivers,
        RedeliveredView(settings) as redelivered,
    ):
        told = ReceiverChannels(channels, receivers, settings)
        worker = Worker(settings, producer, models, silences, redelivered, told)
        await ensure_topics(settings, (), changelogs(worker.app, settings.partitions))
        async with _probed(worker, listening):
            return await _work(worker, stopping)


@contextlib.asynccontextmanager
async def _probed(worker: Worker, listening: socket.socket | None) -> AsyncIterator[None]:
    """Metrics and probes, where they are wanted."""
    if listening is None:
        yield
        return
    async with Probe(listening, worker.standing.look, worker.standing.state) as probe:
        log.info("metrics and probes are at %s", probe.address)
        yield


async def _work(worker: Worker, stopping: asyncio.Event) -> int:
    """Start, and end when told to or when something fails."""
    worker.app.finalize()
    telling = asyncio.create_task(tell_recovery(worker.app, worker.standing.recovery), name="tell recovery")
    await worker.app.start()
    collecting = asyncio.create_task(_collect_garbage(), name="collect garbage")
    gc.freeze()  # what a worker is made of stays: only what comes and goes is looked through
    worker.watchdog.start()
    log.info("worker of group %s runs on %s", worker.settings.group, worker.settings.bootstrap_servers)
    crashed = worker.app._crashed
    asking = asyncio.create_task(
        Retrain(worker.settings, worker.producer, hooks_of(worker.settings)).run(), name="ask for retraining"
    )
    waits = [asyncio.create_task(event.wait()) for event in (stopping, crashed)]
    await asyncio.wait([*waits, asking], return_when=asyncio.FIRST_COMPLETED)
    if asking.done():
        log.critical("the worker ends, because asking for retraining failed", exc_info=asking.exception())
        return FAILED
    for wait in (*waits, telling, asking, collecting):
        wait.cancel()
    if crashed.is_set():
        log.critical("the worker crashed: %r", worker.app.crash_reason)
        return FAILED
    _end_at_last()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(worker.notify.stop(), TELLING_SECONDS)
    await worker.drain()
    await asyncio.wait([asking], timeout=TELLING_SECONDS)
    try:
        await asyncio.wait_for(worker.app.stop(), STOP_SECONDS)
    except TimeoutError:
        log.warning("stopped after %g s with something still running", STOP_SECONDS)
    log.info("stopped")
    return 0


async def _collect_garbage() -> None:
    while True:
        await asyncio.sleep(GARBAGE_SECONDS)
        gc.collect(1)


def _end_at_last() -> None:
    """End the process when its end takes too long: whoever stops it would kill it."""
    last = threading.Timer(LAST_SECONDS, os._exit, (0,))
    last.daemon = True
    last.start()
