"""Predictions made while Kafka is unavailable: kept on the disk, and sent in their order later.

While any prediction waits, all go through the disk, so that Kafka receives them in their order. A record is sent at
least once, with the prediction_id that its caller received; the join counts an id once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from api.http.problems import unavailable
from api.intake.events import encode
from app.kafka.errors import BrokerUnavailable, words_of
from app.kafka.producer import Outgoing, Producer
from app.processes.private_files import private_folder
from app.serving.answers_table import ServedAnswersTable
from app.serving.spool import Spool, SpoolError, waits_in
from app.settings.settings import Settings, SettingsError
from app.telemetry import metrics
from topics.events import ServedEvent
from topics.registry import PREDICTIONS, SERVED, Topic

log = logging.getLogger(__name__)

DIRECT_SECONDS = 2.0
"""Limit in seconds of Kafka's acknowledgement before a prediction goes to the disk."""
RETRY_SECONDS = 1.0
OUTCOMES = ("kept", "sent", "refused", "torn", "lost")

T = TypeVar("T")


class SpoolNow(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions that wait on the disk for Kafka, and totals since the API's start.

    `refused`: for lack of room. `torn`: half written by a process that was killed, and returned to nobody. `lost`: they
    could not be read, or Kafka did not accept them.
    """

    events: int
    bytes: int
    max_bytes: int
    oldest_seconds: float
    kept: int
    sent: int
    refused: int
    torn: int
    lost: int


class Spooled(msgspec.Struct, frozen=True):
    """One prediction as it is on the disk. `claim`: the response to its `request_id`, where it has one."""

    key: str
    event: msgspec.Raw
    claim: ServedEvent | None = None


_spooled = msgspec.json.Decoder(Spooled)


class Spooling:
    """The predictions that wait. `takes` is false where only predictions of an earlier process are left."""

    def __init__(self, settings: Settings, producer: Producer, served: ServedAnswersTable | None) -> None:
        self.takes = settings.when_unrecorded == "spool" and served is not None
        self.answers: dict[tuple[str, str], ServedEvent] = {}
        """Responses to each model's ids whose claims are not in Kafka yet."""
        self.changing = asyncio.Lock()
        """Lock from the look-up of an id to its claim."""
        self._producer, self._served = producer, served
        self._spool = Spool(folder_of(settings), settings.spool_mib << 20)
        self._filled = asyncio.Event()
        self._late: set[asyncio.Task[Any]] = set()
        self._counts: Counter[str] = Counter()
        for outcome in OUTCOMES:
            metrics.API_SPOOLED.labels(outcome)

    @property
    def is_away(self) -> bool:
        """Return whether predictions go to the disk."""
        return self._filled.is_set()

    def open(self) -> None:
        """Read the waiting predictions of an earlier process. Raises SpoolError."""
        for record in self._spool.open():
            try:
                claim = _spooled.decode(record).claim
            except msgspec.MsgspecError:  # counted when it is about to be sent
                continue
            if claim is not None:
                self.answers.setdefault((claim.model, claim.prediction_id), claim)
        self._count("torn", self._spool.torn)
        self._count("lost", self._spool.damaged)
        if self._spool.waiting:
            log.warning("%d predictions wait in %s for Kafka", self._spool.waiting, self._spool.folder)
            self._filled.set()

    async def close(self) -> None:
        """Close the files; the next process sends the waiting predictions."""
        for late in tuple(self._late):
            late.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        self._spool.close()

    async def directly(self, send: Callable[[], Coroutine[object, object, T]]) -> T | None:
        """Return the result of `send` once Kafka has the records; None where Kafka is unavailable: use the disk."""
        if self.is_away:
            return None
        sending = asyncio.create_task(send())
        done, _ = await asyncio.wait([sending], timeout=DIRECT_SECONDS)
        if not done:  # it may still arrive: then Kafka has the record twice, under one id
            self._late.add(sending)
            sending.add_done_callback(self._forget)
            return None
        try:
            return sending.result()
        except BrokerUnavailable:
            return None

    async def keep(self, predictions: Sequence[Spooled]) -> None:
        """Keep predictions on the disk. The caller must own the lock `changing`. Raises Problem 503 without room."""
        was_away = self.is_away
        try:
            await asyncio.to_thread(self._spool.append, [encode(one) for one in predictions])
        except SpoolError as error:
            self._count("refused", len(predictions))
            raise unavailable(f"Kafka does not answer, and {error}") from error
        self._count("kept", len(predictions))
        for one in predictions:
            if one.claim is not None:
                self.answers[one.claim.model, one.claim.prediction_id] = one.claim
        self._filled.set()
        if not was_away:
            log.warning("Kafka does not answer: predictions are kept in %s until it does", self._spool.folder)

    async def run(self, connected: asyncio.Event) -> None:
        """Send waiting predictions as soon as Kafka accepts them; never returns."""
        await connected.wait()
        while True:
            await self._filled.wait()
            try:
                await self._send_oldest()
            except BrokerUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("what waits in %s cannot be sent", self._spool.folder)
                await asyncio.sleep(RETRY_SECONDS)

    async def _send_oldest(self) -> None:
        records = self._decoded(await asyncio.to_thread(self._spool.oldest))
        claims = [one.claim for one in records if one.claim is not None]
        if claims:
            await self._send(SERVED, [Outgoing(claim.prediction_id.encode(), encode(claim)) for claim in claims])
            if self._served is not None:
                await self._served.catch_up()
        await self._send(PREDICTIONS, [Outgoing(one.key.encode(), bytes(one.event)) for one in records])
        await asyncio.to_thread(self._spool.discard)
        self._count("sent", len(records))
        for claim in claims:
            self.answers.pop((claim.model, claim.prediction_id), None)
        if not self._spool.waiting:
            self._filled.clear()
            log.warning("Kafka answers again, and has all predictions that waited")

    async def _send(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        for refused in await self._producer.send_many(topic, records):  # its size was checked before it was kept
            self._count("lost", 1)
            log.error("a prediction that waited is lost: %s", refused.reason)

    def _decoded(self, records: Sequence[bytes]) -> list[Spooled]:
        found = []
        for record in records:
            try:
                found.append(_spooled.decode(record))
            except msgspec.MsgspecError as error:  # of another release
                self._count("lost", 1)
                log.error("a prediction that waited is lost, it cannot be read: %s", words_of(error))
        return found

    def _count(self, outcome: str, n: int) -> None:
        self._counts[outcome] += n
        metrics.API_SPOOLED.labels(outcome).inc(n)

    def _forget(self, late: asyncio.Task[Any]) -> None:
        """Remove a task whose result nobody awaits."""
        self._late.discard(late)
        if not late.cancelled():
            late.exception()

    @property
    def has_room(self) -> bool:
        """Return whether predictions are accepted and the disk has room."""
        return self.takes and self._spool.size < self._spool.most_bytes

    def has(self, answer: ServedEvent) -> bool:
        """Return whether the prediction of a response waits already."""
        return (answer.model, answer.prediction_id) in self.answers

    def state(self) -> SpoolNow:
        """Return the waiting predictions, and the totals since the start."""
        return SpoolNow(
            events=self._spool.waiting, bytes=self._spool.size, max_bytes=self._spool.most_bytes,
            oldest_seconds=round(self._spool.age(time.time()), 3),
            kept=self._counts["kept"], sent=self._counts["sent"], refused=self._counts["refused"],
            torn=self._counts["torn"], lost=self._counts["lost"],
        )  # fmt: skip

    def look(self) -> None:
        """Set the gauges."""
        metrics.API_SPOOL_EVENTS.set(self._spool.waiting)
        metrics.API_SPOOL_BYTES.set(self._spool.size)
        metrics.API_SPOOL_AGE.set(self._spool.age(time.time()))


def spooling_of(settings: Settings, producer: Producer, served: ServedAnswersTable | None) -> Spooling | None:
    """Return the spool of predictions; None where it is not configured and nothing waits from before."""
    wanted = settings.when_unrecorded == "spool" and served is not None
    return Spooling(settings, producer, served) if wanted or waits_in(folder_of(settings)) else None


def check_spool(settings: Settings) -> None:
    """Make the folder where predictions wait. Raises SettingsError where that is impossible."""
    if settings.when_unrecorded != "spool":
        return
    folder = folder_of(settings)
    try:
        private_folder(folder)
    except OSError as error:
        raise SettingsError(f"spool_dir: cannot make {folder}: {error.strerror}") from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise SettingsError(f"spool_dir: nothing can be written to {folder}")


def folder_of(settings: Settings) -> Path:
    """Return the folder where predictions wait."""
    return settings.state_dir / "spool" if settings.spool_dir is None else settings.spool_dir
