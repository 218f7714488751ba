"""Process of a worker: its start, its supervision, and its stop in bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from app.alerting.channels import channels_of
from app.alerting.channels.setup import other_channels
from app.alerting.notify.channel import Channel
from app.alerting.notify.redelivered_table import RedeliveredTable
from app.alerting.receivers.channels import ReceiverChannels
from app.alerting.receivers.table import ReceiversTable
from app.alerting.silences.table import SilencesTable
from app.faust_batches.app import changelogs
from app.faust_batches.recovery_progress import tell_recovery
from app.kafka.errors import Ended, TopicError, Unreadable, WasCancelled
from app.kafka.global_table import FollowedTopic
from app.kafka.producer import Producer
from app.kafka.topic_watch import TopicWatch
from app.kafka.topics import declared, ensure_topics, partitions_of
from app.processes.crash import crash, end_with_any_service
from app.processes.ports import listen
from app.processes.private_files import keep_private, private_folder
from app.processes.shutdown import end_at_last
from app.registration.deployments_table import DeploymentsTable
from app.registration.models_table import ModelsTable
from app.registration.versions_table import VersionsTable
from app.retraining import hooks_of
from app.retraining.loops import Retrain
from app.settings.extras import needing
from app.settings.settings import Settings
from app.sources.source import EventSource, registry_of, sources_of
from app.telemetry import logs, metrics, tracing
from app.telemetry.beginnings import begin_worker
from app.telemetry.loop_lag import measured_loop
from app.telemetry.probe import probed
from app.worker.successor import successor_of
from app.worker.wiring import WorkerAgents
from topics.registry import TOPICS

log = logging.getLogger(__name__)

STOP_SECONDS = 3.0
TELLING_SECONDS = 1.5
"""Seconds that a stopping worker waits for deliveries under way; a delivery without a result by then is repeated."""

GARBAGE_THRESHOLD = 50_000
"""Objects after which Python looks for cycles: a batch makes thousands of objects, none of them in a cycle."""
GARBAGE_SECONDS = 5.0
"""Seconds after which new objects are checked in any case: a few objects in a cycle may keep a whole fetch."""


def run_worker(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT. Return the exit status.

    Raises SettingsError for an incomplete channel, PortTaken.
    """
    channels = channels_of(settings.alerts_dir, other_channels(settings))
    registry = registry_of(settings)
    sources = sources_of(settings, registry)
    listening = None
    if settings.metrics_port is not None:
        who = ("the worker's metrics", "metrics_port", "--metrics-port")
        listening = listen(settings.metrics_host, settings.metrics_port, *who)
    begin_worker(channels, [source.declaration.label for source in sources])
    logs.set_up(settings.log_level, settings.log_format)
    with needing("tracing", "otlp_endpoint"):
        tracing.set_up("driftline-worker", settings.otlp_endpoint)
    keep_private()
    private_folder(settings.state_dir)
    # The libraries for judging take a second to import: meanwhile the worker waits for Kafka.
    threading.Thread(target=importlib.import_module, args=["scipy.stats"], daemon=True).start()
    try:
        return asyncio.run(_run(settings, channels, listening, sources))
    except Unreadable as error:
        crash(error, "the worker ends")
    finally:
        tracing.close()


async def _run(
    settings: Settings,
    channels: Mapping[str, Channel],
    listening: socket.socket | None,
    sources: Sequence[EventSource],
) -> int:
    gc.set_threshold(GARBAGE_THRESHOLD)
    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        end_at_last()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    end_with_any_service(stopping.is_set)
    await ensure_topics(settings)
    await check_sources(settings, sources)
    async with (
        Producer(settings) as producer,
        ModelsTable(settings) as models,
        SilencesTable(settings) as silences,
        ReceiversTable(settings) as receivers,
        RedeliveredTable(settings) as redelivered,
        VersionsTable(settings) as versions,
        DeploymentsTable(settings) as deployments,
        successor_of(settings) as successor,
    ):
        told = ReceiverChannels(channels, receivers, settings)
        worker = WorkerAgents(
            settings, producer, models, silences, redelivered, told, versions, deployments, successor, sources
        )
        await ensure_topics(settings, (), changelogs(worker.app, settings.partitions))
        views: dict[str, FollowedTopic] = {
            "models": models,
            "silences": silences,
            "receivers": receivers,
            "redelivered": redelivered,
            "versions": versions,
            "deployments": deployments,
        }
        topics = declared(settings, TOPICS)
        async with (
            measured_loop(metrics.LOOP_LAG, settings.loop_lag_seconds),
            TopicWatch(settings, topics, settings.state_dir / "clusters.json") as watch,
            probed(listening, metrics.WORKER, worker.standing.look, worker.standing.state, _metrics_failed),
        ):
            worker.origins.watch = watch
            try:
                return await _work(worker, views, stopping)
            except Exception as error:  # noqa: BLE001 - after any error, Faust's threads would outlive it
                crash(error, "the worker failed")


async def check_sources(settings: Settings, sources: Sequence[EventSource]) -> None:
    """Raise TopicError if a source's topic does not exist. A subscription might create it."""
    for source in sources:
        if not await partitions_of(settings, source.topic):
            raise TopicError(
                f"source {source.declaration.label!r}: topic {source.topic.name} does not exist on "
                f"{settings.bootstrap_servers}: correct its name, or let its producer make it first"
            )


def _metrics_failed(error: Exception) -> None:
    crash(error, "the worker's metrics failed")


async def _work(worker: WorkerAgents, views: Mapping[str, FollowedTopic], stopping: asyncio.Event) -> int:
    """Start, and end on a signal. An error on the way ends the process at once."""
    worker.app.finalize()
    stopped = asyncio.create_task(stopping.wait())
    starting = asyncio.create_task(worker.app.start(), name="start")
    assert worker.origins.watch is not None
    beside = [
        asyncio.create_task(tell_recovery(worker.app, worker.standing.recovery), name="reporting of recovery"),
        asyncio.create_task(worker.origins.watch.run(worker.held), name="watch of topics"),
    ]
    await _until(stopped, [*beside, starting], starting)
    if stopping.is_set():
        return 0
    beside.append(asyncio.create_task(_collect_garbage(), name="collection of garbage"))
    gc.freeze()  # the worker's own objects are permanent: only new ones are checked
    worker.watchdog.start()
    log.info("worker of group %s runs on %s", worker.settings.group, worker.settings.bootstrap_servers)
    retrain = Retrain(worker.settings, worker.producer, hooks_of(worker.settings))
    acting = retrain.run() if worker.settings.drain_to is None else stopping.wait()
    asking = asyncio.create_task(acting, name="asking for retraining")
    if worker.settings.drain_to is None:
        beside.append(asyncio.create_task(worker.learner.run(), name="learning of references"))
    reading = [asyncio.create_task(view.followed(), name=f"reading of {name}") for name, view in views.items()]
    crashed = asyncio.create_task(worker.app._crashed.wait())
    await _until(stopped, [*beside, *reading, asking], crashed)
    if crashed.done():
        crash(worker.app.crash_reason or RuntimeError("Faust does not say why"), "the worker crashed")
    for task in (*beside, *reading, asking, crashed):
        task.cancel()
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


async def _until(stopped: asyncio.Task[Any], beside: Sequence[asyncio.Task[Any]], done: asyncio.Task[Any]) -> None:
    """Return when one of the two is done. A task of `beside` that fails, or ends before, ends the process."""
    await asyncio.wait([stopped, done, *beside], return_when=asyncio.FIRST_COMPLETED)
    if stopped.done():
        return
    for task in beside:
        if not task.done():
            continue
        error = WasCancelled() if task.cancelled() else task.exception()
        if error is not None or task is not done:
            crash(error or Ended(), f"the worker's {task.get_name()} failed")


async def _collect_garbage() -> None:
    while True:
        await asyncio.sleep(GARBAGE_SECONDS)
        gc.collect(1)
