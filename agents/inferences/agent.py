"""Agent that pairs inference requests with responses by id and publishes the pairs as predictions."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field

import msgspec

from agents.agent import Agent
from agents.applied_offsets import records_from
from agents.inferences.halves import Paired, events_of, half_of
from agents.inferences.state import InferencePartition, all_read_again, read_again, saved_of, source_of
from agents.output import Output, TooLarge
from app.core.join.inference_pairs import GivenUp, Half, HalfOutcome, Pair
from app.faust_batches.batch import Batch, Log
from app.ingest.decoding import Record, Rejected
from app.ingest.kserve import InferenceError, Order, UnknownOrder
from app.kafka.producer import Outgoing
from topics.registry import INFERENCES, PREDICTIONS, Topic

UNSEEN_SECONDS = 1.0
"""Seconds at the end of the log in which a record may exist that no fetch has brought: twice the longest wait."""

CatchUp = Callable[[], Awaitable[None]]

TOGETHER = 2000
"""Predictions that are made before other coroutines get their turn, and that are sent together."""

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class PairedBatch:
    """Result of a batch: pairs, halves that are set aside, and counts by outcome.

    `spoilt`: the numbers of the pairs that Kafka has not taken completely.
    """

    pairs: list[Pair[Paired]] = field(default_factory=list)
    spoilt: set[int] = field(default_factory=set)
    rejected: list[Rejected] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def reject(self, record: Record, reason: str, outcome: str, *, readable: bool = False) -> None:
        """Set a half aside, with the reason, and count the outcome."""
        self.rejected.append(Rejected(record, reason, readable))
        self.counts[outcome] += 1


class InferencesAgent(Agent):
    """Agent that pairs requests with responses, and makes predictions of the pairs.

    `table` has, for each partition, the next offset and the offsets of the waiting halves. Waiting halves are read
    again from the topic, which is its own changelog.

    `order` and `catch_up` belong to the registered models. `seconds`: how long halves wait for each other.
    `most_bytes`: the limit for the waiting halves and remembered pairs of this worker. `counted` is called with the
    number of halves by outcome.
    """

    name = "inferences"
    inputs = (INFERENCES,)

    def __init__(  # noqa: PLR0913 (what it needs of the world around it)
        self,
        table: MutableMapping[str, bytes],
        order: Order,
        catch_up: CatchUp,
        *,
        seconds: float,
        most_bytes: int,
        checkpoint_seconds: float,
        log_of: Callable[[Topic, int], Log | None] = lambda topic, partition: None,
        counted: Callable[[Counter[str]], None] = lambda counts: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._order = order
        self._catch_up = catch_up
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._checkpoint_seconds = checkpoint_seconds
        self._log_of = log_of
        self._counted = counted
        self._now = now
        self._sources: dict[int, InferencePartition] = {}

    def forget(self, partitions: Iterable[int] | None = None) -> None:
        """Drop the state of partitions (None: all). The state is read again."""
        for partition in list(self._sources) if partitions is None else partitions:
            self._sources.pop(partition, None)

    def position(self, topic: Topic, partition: int) -> int:
        """Return the offset to read a partition from: that of the oldest half that is still needed."""
        return self._source(partition).read

    def drain(self) -> None:
        """Save everything taken with every batch and every tick from now on."""
        self._checkpoint_seconds = 0.0

    @property
    def saved(self) -> bool:
        """Return whether everything taken is saved."""
        return all(source.saved == saved_of(source) for source in self._sources.values() if not source.replaying)

    @property
    def waiting(self) -> int:
        """Return the number of halves that wait for their other half."""
        return sum(len(source.pairing) for source in self._sources.values())

    @property
    def bytes(self) -> int:
        """Return the approximate number of bytes of the waiting halves and the remembered pairs."""
        return sum(source.pairing.bytes for source in self._sources.values())

    def _source(self, partition: int) -> InferencePartition:
        source = self._sources.get(partition)
        if source is None:
            found = source_of(self._table.get(str(partition)), self._log_of(INFERENCES, partition), self._seconds)
            source = self._sources[partition] = found
        return source

    async def handle(self, batch: Batch, out: Output) -> None:
        """Take a batch: publish predictions, then dead letters, then save the state.

        A crash in between sends the same predictions, by `prediction_id`, once more.
        """
        source, taken = self._source(batch.partition), PairedBatch()
        for record in records_from(source.read, batch.records):
            self._take(source, record, taken)
            source.read, source.read_at = record.offset + 1, self._now()
        source.read = max(source.read, batch.following)
        if source.applied and not source.replaying:
            taken.counts["lost"] += all_read_again(source)
        self._give_up(source, taken, caught_up=batch.caught_up)
        await self._publish(source, taken, out)
        if taken.rejected:
            await out.dead_letter(batch, sorted(taken.rejected, key=lambda one: one.record.offset))
        if taken.counts:
            self._counted(taken.counts)
        self._save(batch.partition, source)

    def _take(self, source: InferencePartition, record: Record, taken: PairedBatch) -> None:
        half = half_of(record)
        if read_again(source, record.offset, half if isinstance(half, Half) else None):
            return
        if isinstance(half, str):
            taken.reject(record, half, "unreadable")
            return
        self._over(source.pairing.over(half.at), taken)
        found = source.pairing.take(half)
        if isinstance(found, Pair):
            taken.pairs.append(found)
        elif found is HalfOutcome.DIFFERS:
            side = half.content.inference.side
            taken.reject(record, f"repeated {side}: it differs from the one that came first", "differs", readable=True)
        elif found is HalfOutcome.REPEATED:
            taken.counts["repeated"] += 1

    def _give_up(self, source: InferencePartition, taken: PairedBatch, *, caught_up: bool) -> None:
        """Set aside the halves that have waited too long, and those beyond the byte limit. Silence counts as time."""
        if source.replaying:
            return
        if caught_up:
            silence = self._now() - source.read_at - UNSEEN_SECONDS
            self._over(source.pairing.over(source.pairing.reached + round(silence * 1000)), taken)
        self._over(source.pairing.beyond(self._most_bytes // len(self._sources)), taken)

    def _over(self, given_up: Iterable[GivenUp[Paired]], taken: PairedBatch) -> None:
        for half, in_time in given_up:
            inference, record = half.content
            why = f"its {inference.other} has not come"
            why += ", and too many others wait for theirs (pairing_mib)" if in_time else f" within {self._seconds:g} s"
            taken.reject(record, f"unpaired {inference.side}: {why}", "unpaired", readable=True)

    async def _publish(self, source: InferencePartition, taken: PairedBatch, out: Output) -> None:
        """Send the predictions of all pairs. Set a pair aside if one of its predictions cannot be made or sent."""
        outgoing: list[tuple[Outgoing, int]] = []
        caught_up = False
        for number, pair in enumerate(taken.pairs):
            events = events_of(pair, self._order)
            if isinstance(events, UnknownOrder) and not caught_up:
                caught_up = True
                await self._catch_up()
                events = events_of(pair, self._order)
            if isinstance(events, InferenceError):
                self._spoilt(source, taken, pair, str(events))
                continue
            taken.counts["paired"] += 2
            outgoing += [(Outgoing(event.prediction_id.encode(), _encode(event)), number) for event in events]
            while len(outgoing) >= TOGETHER:
                await self._send(source, taken, out, outgoing[:TOGETHER])
                del outgoing[:TOGETHER]
        if outgoing:
            await self._send(source, taken, out, outgoing)

    async def _send(
        self, source: InferencePartition, taken: PairedBatch, out: Output, outgoing: Sequence[tuple[Outgoing, int]]
    ) -> None:
        """Send predictions, each with the number of its pair. Set aside the pairs that Kafka refuses."""
        refused: dict[int, str] = {}
        try:
            await out.publish(PREDICTIONS, [record for record, _ in outgoing])
        except TooLarge as error:
            refused = {outgoing[one.position][1]: one.reason for one in error.refused}
        for number, reason in refused.items():
            if number not in taken.spoilt:
                taken.spoilt.add(number)
                taken.counts["paired"] -= 2
                self._spoilt(source, taken, taken.pairs[number], f"prediction: {reason}")
        await asyncio.sleep(0)

    def _spoilt(self, source: InferencePartition, taken: PairedBatch, pair: Pair[Paired], reason: str) -> None:
        """Set both halves of a pair aside. Corrected halves may come again."""
        source.pairing.forget(pair)
        for half in pair:
            taken.reject(half.content.record, reason, "spoilt")

    def _save(self, partition: int, source: InferencePartition) -> None:
        now = self._now()
        if source.replaying or now - source.saved_at < self._checkpoint_seconds:
            return
        state = saved_of(source)
        if state != source.saved:
            self._table[str(partition)] = state
            source.saved, source.saved_at = state, now
