"""Watchdog that ends a worker whose partitions have more to read but make no progress. The supervisor restarts it.

A consumer that looks alive and reads nothing is a known fault of this infrastructure. So the watchdog is a thread with
a connection of its own. It requests the end of each partition from the broker, and compares it with the applied offsets
of the agents. That detects a consumer, an event loop or an agent that is stuck, and ignores an idle topic.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from faust.types import TP

log = logging.getLogger(__name__)

LOOKS = 12
"""Number of checks within the time after which a worker is given up."""
LONGEST_PAUSE = 5.0
PATIENCE = 5
"""Factor by which one partition may be stuck longer while others move: it may have to wait for its turn."""


@dataclass(frozen=True, slots=True)
class Sight:
    """State at one moment: the next offset to apply of each assigned partition, and the ends of the logs.

    `ends` is None if the broker did not return them. `work` rises with other work (a recovery); None while partitions
    change hands, when no progress is expected.
    """

    held: Mapping[TP, int]
    ends: Mapping[TP, int] | None
    work: int | None


class Stall:
    """Decision from successive states whether a partition is stuck, without side effects."""

    def __init__(self, seconds: float, pause: float) -> None:
        self._seconds = seconds
        self._pause = pause
        self._looked = 0.0
        self._work: int | None = None
        self._held: Mapping[TP, int] = {}
        self._moved = 0.0
        self._behind: dict[TP, tuple[int, float]] = {}

    def look(self, now: float, sight: Sight) -> TP | None:
        """Return a partition that has had more to read for the whole time without progress. `now` is in seconds."""
        asleep = now - self._looked > 3 * self._pause + 1.0  # the whole process was stopped, so nothing could move
        if sight.ends is None or sight.work is None or sight.work != self._work or asleep:
            self._behind.clear()
        if not self._behind or any(sight.held.get(tp) != offset for tp, offset in self._held.items()):
            self._moved = now
        self._looked, self._work, self._held = now, sight.work, sight.held
        if sight.ends is None or sight.work is None:
            return None
        for tp, offset in sight.held.items():
            if offset >= sight.ends.get(tp, 0):
                self._behind.pop(tp, None)
            elif self._behind.get(tp, (-1, 0.0))[0] != offset:
                self._behind[tp] = (offset, now)
        for tp in self._behind.keys() - sight.held.keys():
            del self._behind[tp]
        waits = self._seconds if now - self._moved >= self._seconds else PATIENCE * self._seconds
        return next((tp for tp, (_, since) in self._behind.items() if now - since >= waits), None)


class Watchdog:
    """Thread of the watchdog. `topics`: topics whose agents wait for no channel.

    `options`: options of the Kafka client.
    """

    def __init__(
        self,
        app: faust.App,
        options: Mapping[str, Any],
        topics: Iterable[str],
        seconds: float,
        end: Callable[[str], None],
    ) -> None:
        self._app = app
        self._options = options
        self._topics = frozenset(topics)
        self._seconds = seconds
        self._pause = min(LONGEST_PAUSE, seconds / LOOKS)
        self._end = end
        self._beats = 0
        self._kafka: AIOKafkaConsumer | None = None

    def alive(self) -> None:
        """Note that long work goes on."""
        self._beats += 1

    def start(self) -> None:
        """Watch from now on. The thread ends with the process."""
        threading.Thread(target=lambda: asyncio.run(self._watch()), name="watchdog", daemon=True).start()

    async def _watch(self) -> None:
        stall = Stall(self._seconds, self._pause)
        while True:
            await asyncio.sleep(self._pause)
            held = self._read_now()
            ends = await self._ends(held) if held else {}
            tp = stall.look(time.monotonic(), Sight(held, ends, self._work()))
            if tp is not None:
                self._end(
                    f"stalled: {tp.topic} partition {tp.partition} has more from offset {held[tp]} on, and nothing of "
                    f"it was applied for {self._seconds:g} s (stall_seconds); the worker ends, to be started again"
                )

    def _read_now(self) -> dict[TP, int]:
        """Return the next offset to apply of the partitions to be read, without those that wait for a joined topic."""
        consumer = self._app._consumer
        held = {} if consumer is None else consumer.held
        waiting = self._app.transport.order.waiting
        return {tp: at for tp, at in list(held.items()) if tp.topic in self._topics and tp not in waiting}

    def _work(self) -> int | None:
        """Return a count of the recoveries' work so far; None in a rebalance."""
        if self._app.rebalancing:
            return None
        offsets: Any = self._app.tables.recovery.active_offsets
        return self._beats + int(sum(list(offsets.values())))

    async def _ends(self, held: Mapping[TP, int]) -> Mapping[TP, int] | None:
        """Return the ends of partitions. Records that are no longer in the log are not waited for."""
        try:
            async with asyncio.timeout(2 * self._pause + 1.0):
                if self._kafka is None:
                    kafka = AIOKafkaConsumer(**self._options)
                    await kafka.start()
                    self._kafka = kafka
                ends = await self._kafka.end_offsets(list(held))
                begins = await self._kafka.beginning_offsets(list(held))
        except (KafkaError, OSError, TimeoutError):
            await self._give_up()
            return None
        return {tp: end if begins[tp] < end else 0 for tp, end in ends.items()}

    async def _give_up(self) -> None:
        kafka, self._kafka = self._kafka, None
        if kafka is not None:
            await asyncio.wait([asyncio.create_task(kafka.stop())], timeout=self._pause)
