"""Process of a recorder: its start, its probes, and its stop in bounded time."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket

from app.history.database import History
from app.history.setup import history_of
from app.history.writer import ADDING
from app.kafka.errors import Unreadable
from app.kafka.producer import Producer
from app.kafka.topic_watch import TopicWatch
from app.kafka.topics import declared, ensure_topics
from app.processes.crash import crash
from app.processes.ports import listen
from app.processes.private_files import keep_private
from app.processes.shutdown import end_at_last
from app.recorder.health import RecorderHealth
from app.recorder.recording import Recorder
from app.settings.settings import Settings
from app.telemetry import logs, metrics
from app.telemetry.beginnings import begin_recorder
from app.telemetry.probe import probed
from topics.registry import DEAD_LETTERS

log = logging.getLogger(__name__)


def run_recorder(settings: Settings) -> int:
    """Run a recorder until SIGTERM or SIGINT. Return the exit status.

    Raises SettingsError, TopicError, NewerHistory, PortTaken.
    """
    keep_private()
    history = history_of(settings)
    listening = None
    if settings.recorder_metrics_port is not None:
        who = ("the recorder's metrics", "recorder_metrics_port", "--metrics-port")
        listening = listen(settings.metrics_host, settings.recorder_metrics_port, *who)
    begin_recorder(ADDING)
    logs.set_up(settings.log_level, settings.log_format)
    try:
        return asyncio.run(_run(settings, history, listening))
    except Unreadable as error:
        crash(error, "the recorder ends")


def _failed(error: Exception) -> None:
    crash(error, "the recorder's metrics failed")


async def _run(settings: Settings, history: History, listening: socket.socket | None) -> int:
    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        end_at_last()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    standing = RecorderHealth(settings.prefix)
    async with probed(listening, metrics.RECORDER, standing.look, standing.state, _failed):
        topics = [*ADDING, DEAD_LETTERS]
        await ensure_topics(settings, topics)
        async with Producer(settings) as producer, TopicWatch(settings, declared(settings, topics)) as watch:
            await Recorder(settings, history, producer, watch, standing, stopping).run()
    history.close()
    log.info("stopped")
    return 0
