"""A worker's process: started, watched over, stopped in time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import signal
import socket
import threading
from collections.abc import Mapping

from agents.retrain import Retrain
from app.alerting.channels import channels_of
from app.alerting.delivery import Channel
from app.channel_setup import other_channels
from app.receiver_channels import ReceiverChannels
from app.retraining import hooks_of
from app.runtime.faust_app import FAILED, changelogs
from app.runtime.listening import listen
from app.runtime.models_view import ModelsView
from app.runtime.producer import Producer
from app.runtime.receivers_view import ReceiversView
from app.runtime.recovery import tell_recovery
from app.runtime.redelivered_view import RedeliveredView
from app.runtime.settings import Settings
from app.runtime.silences_view import SilencesView
from app.runtime.stopping import end_at_last
from app.runtime.topic_admin import ensure_topics
from app.telemetry import logs, metrics, tracing
from app.telemetry.beginnings import begin_worker
from app.telemetry.probe import probed
from app.worker.wiring import Worker

log = logging.getLogger(__name__)

STOP_SECONDS = 3.0
TELLING_SECONDS = 1.5
"""How long a worker that stops waits for what it is telling; what it does not see the end of is told again."""

GARBAGE_THRESHOLD = 50_000
"""Objects after which Python looks for cycles: a run makes thousands of objects, none of them in one."""
GARBAGE_SECONDS = 5.0
"""After so long it looks in any case, at what is new: a few objects in a cycle may hold a whole fetch."""


def run_worker(settings: Settings) -> int:
    """Run a worker until SIGTERM or SIGINT; answers the exit status.

    Raises SettingsError for a channel half set up, PortTaken.
    """
    channels = channels_of(settings.alerts_dir, other_channels(settings))
    listening = None
    if settings.metrics_port is not None:
        who = ("the worker's metrics", "metrics_port", "--metrics-port")
        listening = listen(settings.metrics_host, settings.metrics_port, *who)
    begin_worker(channels)
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
        async with probed(listening, metrics.WORKER, worker.standing.look, worker.standing.state):
            return await _work(worker, stopping)


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
    end_at_last()
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
