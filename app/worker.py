"""A worker: the four agents in one Faust app, with the views and the producer that they use."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from agents.alerts import Alerts
from agents.join import Join
from agents.notify import Notify
from agents.pane_events import key_of, partition_of
from agents.windows import WindowsAgent
from app.alerting.channels import channels_of
from app.core.config import Monitoring
from app.ingest.decoding import Rejected
from app.runtime.faust_app import FAILED, add_agent, changelogs, make_app, make_table
from app.runtime.models_view import ModelsView
from app.runtime.producer import Outgoing, Producer
from app.runtime.quarantine import Quarantine, Quarantined
from app.runtime.recovery import tell_recovery
from app.runtime.settings import Settings
from app.runtime.topic_admin import ensure_topics
from topics.events import PaneEvent
from topics.registry import ALERTS, DEAD_LETTERS, FEEDBACK, PANES, PREDICTIONS, REPORTS, Topic

log = logging.getLogger(__name__)

STOP_SECONDS = 8.0


class Worker:
    """Everything that a worker process holds, wired once."""

    def __init__(self, settings: Settings, producer: Producer, models: ModelsView) -> None:
        self.settings = settings
        self.producer = producer
        self.models = models
        self.app = make_app(settings)
        tables = {n: make_table(self.app, n, settings.partitions) for n in ("join", "windows", "alerts", "notify")}
        self.join = Join(tables["join"], models, checkpoint_seconds=settings.checkpoint_seconds)
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

    def _bind(self) -> None:
        app, settings = self.app, self.settings
        quarantine = Quarantine(settings.state_dir / "quarantine.json")
        add = partial(add_agent, app, settings, quarantine)
        join_position = lambda tp, number: self.join.position(tp.partition, number)  # noqa: E731
        add("join", [PREDICTIONS, FEEDBACK], join_position, self._join)
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
        telling = asyncio.create_task(tell_recovery(worker.app), name="tell recovery")
        await worker.app.start()
        log.info("worker of group %s runs on %s", settings.group, settings.bootstrap_servers)
        crashed = worker.app._crashed
        waits = [asyncio.create_task(event.wait()) for event in (stopping, crashed)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in (*waits, telling):
            wait.cancel()
        if crashed.is_set():
            log.critical("the worker crashed: %r", worker.app.crash_reason)
            return FAILED
        try:
            await asyncio.wait_for(worker.app.stop(), STOP_SECONDS)
        except TimeoutError:
            log.warning("stopped after %g s with something still running", STOP_SECONDS)
        return 0
