"""Faust app of a worker: its transport, its tables, and agents that end the process when they fail."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.serializers.codecs import dumps, loads
from faust.types import TP

from app.faust_batches.assignor import StickyAssignor
from app.faust_batches.batch import Batch, Handler, Position
from app.faust_batches.kept_tables import KeepingRecovery, NotedTable
from app.faust_batches.quarantine import Quarantine
from app.faust_batches.together import as_one, take_together
from app.faust_batches.transport import BatchTransport
from app.kafka.client_options import client_options
from app.kafka.errors import WasCancelled, WorkerHalted, without_values
from app.kafka.topics import NamedTopic
from app.processes.crash import FAILED, HELD, is_stopping
from app.settings.settings import Settings
from topics.registry import SEGMENTS, Topic

__all__ = [
    "FAILED", "HELD", "add_agent", "changelog_key", "changelogs", "make_app", "make_table", "table_key",
]  # fmt: skip

log = logging.getLogger(__name__)

MOST_POLLED = 20_000
"""Records of all partitions in one poll. This bounds how far one topic is read ahead of the topic it is joined with."""

HEARTBEAT_SECONDS = 1.0
"""Seconds between heartbeats. A worker notices a rebalance with its heartbeat, and all wait for the last one."""

BUFFERED_RUNS = 8
FETCH_BYTES = 16 << 20
"""Bytes of one partition in one fetch.

With a quarter of this, a worker with a lag waits for fetches a third of the time.
"""
CHANGELOG_BYTES = 32 << 20


def make_app(settings: Settings) -> faust.App:
    """Return a Faust app on the batch transport. It declares no topics: they are created beforehand."""
    options = client_options(settings)
    app = faust.App(
        settings.group,
        broker=[f"kafka://{server}" for server in options["bootstrap_servers"].split(",")],
        datadir=str(settings.state_dir / "worker"),
        store="memory://",
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=FETCH_BYTES,
        broker_session_timeout=settings.session_seconds,
        broker_heartbeat_interval=min(settings.session_seconds / 4, HEARTBEAT_SECONDS),
        broker_request_timeout=max(40.0, 4 * settings.session_seconds),
        broker_max_poll_records=MOST_POLLED,
        producer_max_request_size=CHANGELOG_BYTES,
        producer_linger=0.005,
        stream_buffer_maxsize=BUFFERED_RUNS,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        table_standby_replicas=0,
        web_enabled=False,
        broker_credentials=_credentials(options),
        autodiscover=False,
        PartitionAssignor=StickyAssignor,
        Table=NotedTable,
    )
    app.tables._recovery = KeepingRecovery(app, app.tables, beacon=app.tables.beacon)
    BatchTransport.install(
        app, max_batch_records=settings.max_batch_records, tick_seconds=settings.tick_seconds,
        isolation_level=settings.kafka_isolation_level, on_refused=lambda: _end(FAILED),
    )  # fmt: skip
    return app


def _credentials(options: Mapping[str, Any]) -> SASLCredentials | SSLCredentials | None:
    """Return the credentials for Faust, which makes clients of its own."""
    context = options["ssl_context"]
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"], password=options["sasl_plain_password"], ssl_context=context,
            mechanism=options["sasl_mechanism"],
        )  # fmt: skip
    return None if context is None else SSLCredentials(context)


def make_table(app: faust.App, name: str, partitions: int) -> faust.Table:
    """Return a table of bytes by name, in as many partitions as the topic that writes the table."""
    schema = faust.Schema(key_type=str, value_type=bytes, key_serializer="raw", value_serializer="raw")
    return app.Table(name, schema=schema, key_type=str, value_type=bytes, partitions=partitions)


def changelog_key(key: str) -> bytes:
    """Return a table's key as Faust writes it into the changelog."""
    return bytes(dumps("json", key))


def table_key(written: bytes) -> str:
    """Return the table's key in a changelog's record. Raises ValueError."""
    return str(loads("json", written))


def changelogs(app: faust.App, partitions: int) -> list[NamedTopic]:
    """Return the tables' changelog topics, to be created beforehand."""
    config = {"cleanup.policy": "compact", "max.message.bytes": str(CHANGELOG_BYTES), **SEGMENTS}
    return [NamedTopic(table.changelog_topic.get_topic_name(), partitions, config) for table in app.tables.values()]


class Runs(faust.Schema):  # type: ignore[misc]
    """Schema that gives an agent its batch as it came from the consumer."""

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.value


async def _nothing(_error: WorkerHalted) -> None:
    """Notify nobody."""


def add_agent(  # noqa: PLR0913 (what binds an agent to its app)
    app: faust.App,
    settings: Settings,
    quarantine: Quarantine,
    name: str,
    topics: Sequence[Topic],
    position: Callable[[Topic, int], int],
    handle: Handler,
    *,
    halted: Callable[[WorkerHalted], Awaitable[None]] = _nothing,
    stateless: bool = False,
    most_together: Callable[[], int] = lambda: 0,
) -> None:
    """Bind an agent, which takes the topics' batches one after another. So its table has one writer.

    `position` returns the offset to read a topic's partition from. If there are several topics, the others follow the
    first by the broker's time, as long as the first has more to read. A `stateless` agent has no table. `most_together`
    returns the number of records up to which consecutive batches of a partition are handled as one, if they wait
    already.

    An error that the agent does not handle ends the process before any later batch is applied. A record that causes
    this repeatedly is quarantined. `WorkerHalted` also ends the process, with a status of its own, once `halted` has
    sent what other processes have to know.
    """
    names = [topic.full_name(settings.prefix) for topic in topics]
    for topic, full_name in zip(topics, names, strict=True):
        app.transport.read(full_name, topic, _position(position, topic), stateless=stateless)
    app.transport.order.leaders |= dict.fromkeys(names[1:], names[0])

    async def agent(stream: Any) -> None:
        at: tuple[TP, list[Any]] | None = None
        leaving: asyncio.Task[None] | None = None
        try:
            async for event in stream.events():
                message = event.message
                if leaving is not None:
                    continue  # taken, so that the other agents get theirs, and dropped
                if not app.consumer.follows(message):
                    continue
                most = quarantine.most_together(message.tp, most_together())
                messages = take_together(message, stream.channel.queue, most)
                whole, end = as_one(messages), app.consumer.end(message.tp)
                try:
                    for part in quarantine.parts(message.tp, whole.records):
                        at = message.tp, part
                        batch = _part(whole, part, end)
                        await handle(batch)
                        app.consumer.applied(message.tp, batch.following)
                except WorkerHalted as stopped:
                    log.critical("agent %s stops: %s", name, stopped, extra={"agent": name})
                    leaving = asyncio.create_task(_leave(halted(stopped)))
                    continue
                app.consumer.done(*messages)
        except asyncio.CancelledError:
            if not (app.should_stop or is_stopping() or leaving):
                log.critical("agent %s failed; the worker ends: %s", name, WasCancelled(), extra={"agent": name})
                _end(FAILED)
            raise
        except Exception as error:  # noqa: BLE001 - any error ends the process, and is logged without its message
            words = "agent %s failed; the worker ends, so that nothing is skipped: %s"
            log.critical(words, name, without_values(error), extra={"agent": name})
            if at is not None:
                quarantine.failed(*at, error)
            _end(FAILED)

    agent.__name__ = agent.__qualname__ = name
    app.agent(app.topic(*names, schema=Runs()), name=name)(agent)


async def _leave(told: Awaitable[None]) -> None:
    try:
        await told
    finally:
        _end(HELD)


def _end(status: int) -> None:
    for stream in (sys.stderr, sys.stdout):
        stream.flush()
    os._exit(status)


def _part(batch: Batch, records: list[Any], end: int | None) -> Batch:
    """Return the batch of some of a batch's records. `end`: the end of the readable log of the partition."""
    is_last = not records or records[-1].offset == batch.records[-1].offset
    following = batch.following if is_last else records[-1].offset + 1
    return replace(batch, records=records, following=following, caught_up=end is not None and following >= end)


def _position(position: Callable[[Topic, int], int], topic: Topic) -> Position:
    return lambda tp: position(topic, tp.partition)
