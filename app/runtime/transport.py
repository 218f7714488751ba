"""The batch transport: Faust, with a run of records where it has a single message.

Everything of Faust stays (groups, assignor, tables, changelogs, commits); only the unit changes. One message
carries a run of consecutive records of one partition; its offset is the last record's, and acking it acks the
run. A message with an empty run is a tick: it lets an agent act, table writes included, when nothing arrives.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from app.runtime.run_ledger import RunLedger

Position = Callable[[TP], int]
"""The offset that a partition is to be read from, by the state that was recovered for it."""


class Runs(faust.Schema):  # type: ignore[misc]
    """Hands an agent its run of records as it came from the consumer."""

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.value


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Yields runs of records, ticks in between, and commits by runs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ledgers: defaultdict[TP, RunLedger] = defaultdict(RunLedger)
        self._ticked_at = 0.0
        self._expected: dict[TP, int] = {}
        self._gaps: dict[TP, tuple[int, int]] = {}

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Fetch records and yield them as runs."""
        transport: BatchTransport = self.transport
        records, active = await self._wait_next_records(min(timeout, transport.tick_seconds))
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            return  # what was fetched is read again: flow resumes with a seek
        for tp, fetched in records.items():
            if not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            run = list(fetched)
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            step = transport.max_run if tp.topic in transport.positions else 1
            for i in range(0, len(run), step):
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return
                yield tp, self._message_of(tp, run[i : i + step], generation)
        for tp in self._due_ticks():
            yield tp, _tick(tp, self._read_offset[tp] or 0, generation)

    def _message_of(self, tp: TP, run: list[Any], generation: int) -> ConsumerMessage:
        if tp.topic not in self.transport.positions:
            return self._to_message(tp, run[0])
        last = run[-1]
        self.ledgers[tp].delivered(last.offset)
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000.0, last.timestamp_type,
            [], None, run, None, 0, 0, tp, generation_id=generation,
        )  # fmt: skip

    def _due_ticks(self) -> list[TP]:
        now = time.monotonic()
        if now - self._ticked_at < self.transport.tick_seconds or self.app.in_recovery:
            return []
        self._ticked_at = now
        active = self._get_active_partitions()
        return [tp for tp in active if tp.topic in self.transport.positions and tp not in self._paused_partitions]

    async def perform_seek(self) -> None:
        """Seek to what the recovered state has applied.

        Stock Faust seeks to committed offsets only: a partition that has none keeps the position it had
        fetched to, and what was prefetched and dropped in a rebalance is lost. Here commits serve lag monitors.
        """
        await super().perform_seek()
        self.ledgers.clear()
        positions = self.transport.positions
        wanted = {tp: positions[tp.topic](tp) for tp in self.assignment() if tp.topic in positions}
        if wanted:  # in the consumer's own thread, and awaited: a plain seek from here races with its fetches
            await self.seek_wait(wanted)
        self._expected = dict(wanted)
        self._gaps.clear()

    async def in_order(self, tp: TP, first: int, last: int) -> bool:
        """Whether a run follows what was handled before it; if not, it is to be skipped: it will come again.

        What is missing before it is asked for again, once. Offsets that then are still missing are not in the log
        (truncated, or transaction markers), and the run is taken.
        """
        expected = self._expected.get(tp, first)
        if first > expected and self._gaps.get(tp) != (expected, first):
            known = self._gaps.get(tp)
            if known is None or known[0] != expected or first < known[1]:
                self._gaps[tp] = (expected, first)
                self.log.warning("%r: offsets %d to %d are missing and asked for again", tp, expected, first - 1)
                await self.seek_wait({tp: expected})
            return False
        self._expected[tp] = max(expected, last + 1)
        self._gaps.pop(tp, None)
        return True

    def ack(self, message: ConsumerMessage) -> bool:
        """Note a finished run."""
        if message.tp.topic not in self.transport.positions:
            return bool(super().ack(message))
        message.acked = True
        self._unacked_messages.discard(message)
        tp = message.tp
        if not message.value or not self.ledgers[tp].acked(message.offset):
            return False
        self._acked[tp]  # names the partition as one with something to commit
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Runs carry their own ends: offsets between them need no tracking."""

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.transport.positions:
            found: int | None = super()._new_offset(tp)
            return found
        return self.ledgers[tp].committable()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget the runs of partitions that are no longer ours."""
        for tp in revoked:
            self.ledgers.pop(tp, None)
        await super().on_partitions_revoked(revoked)


def _tick(tp: TP, offset: int, generation: int) -> ConsumerMessage:
    return ConsumerMessage(
        tp.topic, tp.partition, offset, time.time(), 0, [], None, [], None, 0, 0, tp, generation_id=generation
    )


class BatchTransport(driver.Transport):  # type: ignore[misc]
    """The transport of an app: which topics come in runs, and where each of their partitions is read from."""

    Consumer = BatchConsumer
    positions: dict[str, Position]
    max_run: int
    tick_seconds: float

    @classmethod
    def install(cls, app: faust.App, *, max_run: int, tick_seconds: float) -> BatchTransport:
        """Give an app this transport, before its consumer exists."""
        transport = cls(app.conf.broker_consumer, app)
        transport.positions = {}
        transport.max_run = max_run
        transport.tick_seconds = tick_seconds
        app.transport = transport
        return transport
