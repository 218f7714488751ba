"""Predictions and feedback, joined and counted: source partitions become panes."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from zlib import crc32

import msgspec

from agents.sending import Reject
from app.core import expiry, join_delta
from app.core.join_delta import JoinDelta
from app.core.joining import MICROSECONDS, NEVER, JoinState, Tally, Watched
from app.core.pane import Pane
from app.ingest.decoding import Record, Rejected
from app.ingest.feedback import feedback_batch
from app.ingest.predictions import PredictionColumns, heads_of, heartbeat_of, is_heartbeat
from app.runtime.models_view import RegisteredModel
from topics.events import CategoryCounts, PaneEvent, PanePartial, Progress, to_epoch

log = logging.getLogger(__name__)

MOST_UNSAVED = 20_000
"""Records after which a checkpoint is made without waiting for its time."""

EPOCHS_SINCE = 1_577_836_800
"""2020-01-01: a recovery is numbered by the seconds since, which leaves 40 bits below it for offsets."""

FEEDBACK_QUIET_SECONDS = 30.0
"""Feedback that is read to its end counts as caught up only after so long without any: a replay feeds in bursts."""

PublishPanes = Callable[[Sequence[PaneEvent]], Awaitable[None]]
"""Returns once Kafka has them."""


class Models(Protocol):
    """What is asked of the view of registered models."""

    revision: int

    def get(self, model: str, version: str) -> RegisteredModel | None: ...

    async def catch_up(self) -> None: ...


_deltas = msgspec.msgpack.Decoder(JoinDelta)
_encoder = msgspec.msgpack.Encoder()


@dataclass(slots=True)
class Source:
    """One source partition: its join, how far it has read, what of it is saved."""

    state: JoinState
    offsets: list[int] = field(default_factory=lambda: [0, 0])
    saved: tuple[int, int] = (0, 0)
    ordinal: int = 0
    saved_at: float = 0.0
    keys: list[str] = field(default_factory=list)
    arrived: dict[int, float] = field(default_factory=dict)
    told: dict[int, tuple[int, bool, int]] = field(default_factory=dict)
    caught_up: list[bool] = field(default_factory=lambda: [False, False])
    fed_at: float = 0.0
    epoch: int = 0

    def revision(self) -> int:
        """Of what is published now: higher than all from before the last recovery, whatever that had reached."""
        return (self.epoch << 40) + sum(self.offsets)

    @property
    def unsaved(self) -> int:
        """Records read since the last checkpoint."""
        return sum(self.offsets) - sum(self.saved)


class Join:
    """The agent's logic. `table` holds deltas, keyed `partition/predictions-feedback` by where each begins."""

    def __init__(
        self,
        table: MutableMapping[str, bytes],
        models: Models,
        *,
        checkpoint_seconds: float,
        now: Callable[[], float] = time.monotonic,
        epoch: Callable[[], int] = lambda: int(time.time()) - EPOCHS_SINCE,
    ) -> None:
        self._table = table
        self._models = models
        self._epoch = epoch
        self._checkpoint_seconds = checkpoint_seconds
        self._now = now
        self._watched: list[Watched] = []
        self._numbers: dict[tuple[str, str], int] = {}
        self._models_revision = -1
        self._columns = PredictionColumns(self._watched, self._number_of)
        self._sources: dict[int, Source] = {}

    # Which models

    def _number_of(self, model: str, version: str) -> int | None:
        if self._models.revision != self._models_revision:
            self._numbers.clear()
            self._models_revision = self._models.revision
        key = (model, version)
        if key not in self._numbers:
            found = self._models.get(model, version)
            if found is None:
                return None
            self._numbers[key] = self._watch(found)
        return self._numbers[key]

    def _watch(self, found: RegisteredModel) -> int:
        for number, watched in enumerate(self._watched):
            if watched.profile.profile_id == found.profile.profile_id and watched.windows == found.monitoring.windows:
                return number
        self._watched.append(Watched(found.profile, found.monitoring.windows))
        return len(self._watched) - 1

    # Where from

    def forget(self, partitions: Iterable[int] | None = None) -> None:
        """Drop what is held of partitions (all): it is built again from the table when next asked for."""
        for partition in list(self._sources) if partitions is None else list(partitions):
            self._sources.pop(partition, None)

    def position(self, partition: int, topic: int) -> int:
        """The offset to read predictions (topic 0) or feedback (1) from, by the recovered state."""
        return self._source(partition).offsets[topic]

    def _source(self, partition: int) -> Source:
        source = self._sources.get(partition)
        if source is None:
            source = self._sources[partition] = self._recover(partition)
        return source

    def _recover(self, partition: int) -> Source:
        """Follow the chain of deltas from its first; what is not reachable is left behind and read anew."""
        mine = f"{partition}/"
        deltas = [(key, _deltas.decode(value)) for key, value in self._table.items() if key.startswith(mine) and value]
        source = Source(JoinState(self._watched), fed_at=self._now(), epoch=self._epoch())
        begins = {delta.from_offsets: (key, delta) for key, delta in deltas}
        ends = {delta.to_offsets for _, delta in deltas}
        starts = sorted(begin for begin in begins if begin not in ends)
        at = starts[0] if starts else None
        while at is not None and at in begins:
            key, delta = begins[at]
            for model, version, _ in delta.models:
                self._number_of(model, version)
            join_delta.restore(source.state, delta)
            source.keys.append(key)
            at = delta.to_offsets
        if at is not None:
            source.offsets, source.saved = list(at), at
        expiry.sweep_again(source.state)
        source.ordinal = source.state.rows.next_ordinal
        log.info(
            "partition %d: %d pending predictions recovered, reading on from %s",
            partition, len(source.state.rows), source.offsets,
        )  # fmt: skip
        return source

    # Runs

    async def handle(
        self,
        partition: int,
        topic: int,
        records: Sequence[Record],
        publish: PublishPanes,
        reject: Reject,
        *,
        caught_up: bool,
    ) -> None:
        """Take a run of predictions (topic 0) or feedback (1), or a tick (an empty run)."""
        source = self._source(partition)
        source.caught_up[topic] = caught_up
        fresh = [r for r in records if r.offset >= source.offsets[topic]] if records else []
        if fresh:
            if fresh[0].offset > source.offsets[topic]:
                log.warning(
                    "partition %d, topic %d: offsets %d to %d are not in the log",
                    partition, topic, source.offsets[topic], fresh[0].offset - 1,
                )  # fmt: skip
            take = self._predictions if topic == 0 else self._feedback
            rejected = await take(source, fresh)
            source.offsets[topic] = fresh[-1].offset + 1
            if rejected:
                await reject(rejected)
        due = self._now() - source.saved_at >= self._checkpoint_seconds
        if due or source.unsaved >= MOST_UNSAVED:
            await self._checkpoint(partition, source, publish)

    async def _predictions(self, source: Source, records: Sequence[Record]) -> list[Rejected]:
        rejected: list[Rejected] = []
        start = 0
        beats = [i for i, record in enumerate(records) if record.headers and is_heartbeat(record)]
        for beat in (*beats, len(records)):
            if beat > start:
                rejected += await self._count(source, records[start:beat])
            if beat < len(records):
                rejected += await self._beat(source, records[beat])
            start = beat + 1
        return rejected

    async def _count(self, source: Source, records: Sequence[Record]) -> list[Rejected]:
        heads = heads_of(records)
        if any(self._number_of(*version) is None for version in heads.versions()):
            await self._models.catch_up()
        batch, rejected, kept = self._columns.batch(heads)
        late = source.state.predictions(batch)
        now = self._now()
        for number in set(batch.model.tolist()):
            source.arrived[number] = now
        return rejected + [Rejected(kept[i], "late: older than this model's lateness allows") for i in late.tolist()]

    async def _beat(self, source: Source, record: Record) -> list[Rejected]:
        beat = heartbeat_of(record)
        if isinstance(beat, Rejected):
            return [beat]
        if self._number_of(beat.model, beat.model_version) is None:
            await self._models.catch_up()
        number = self._number_of(beat.model, beat.model_version)
        if number is None:
            return [Rejected(record, f"unknown `model_version`: {beat.model} {beat.model_version} is not registered")]
        tally = source.state.tally(number)
        tally.event_time = max(tally.event_time, round(to_epoch(beat.timestamp) * MICROSECONDS))
        source.arrived[number] = self._now()
        return []

    async def _feedback(self, source: Source, records: Sequence[Record]) -> list[Rejected]:
        source.fed_at = self._now()
        batch, rejected = feedback_batch(records)
        source.state.feedback(batch)
        return rejected

    # Checkpoints

    async def _checkpoint(self, partition: int, source: Source, publish: PublishPanes) -> None:
        """Publish what changed, then save the delta: a crash in between publishes the same totals again."""
        source.saved_at = self._now()
        offsets = (source.offsets[0], source.offsets[1])
        revision = source.revision()
        if offsets == source.saved:
            await publish(self._progress(partition, source, revision))
            return
        taken = join_delta.take(source.state, source.ordinal, source.saved, offsets)
        events: list[PaneEvent] = [
            self._partial(key, kind, pane, partition, revision)
            for kind, panes in (("input", taken.inputs), ("outcome", taken.outcomes))
            for key, pane in panes.items()
        ]
        await publish([*events, *self._progress(partition, source, revision)])
        key = f"{partition}/{source.saved[0]}-{source.saved[1]}"
        self._table[key] = _encoder.encode(taken.delta)
        source.keys.append(key)
        source.saved, source.ordinal = offsets, source.state.rows.next_ordinal
        self._sweep(source)

    def _partial(self, key: tuple[int, int], kind: str, pane: Pane, partition: int, revision: int) -> PanePartial:
        watched = self._watched[key[0]]
        return PanePartial(
            model=watched.profile.model,
            model_version=watched.profile.model_version,
            profile_id=watched.profile.profile_id,
            kind="input" if kind == "input" else "outcome",
            pane_start=key[1] * watched.pane / MICROSECONDS,
            partition=partition,
            revision=revision,
            n=pane.n,
            indices=pane.indices.astype("<i4").tobytes(),
            counts=pane.counts.astype("<i8").tobytes(),
            sums=pane.sums.astype("<i8").tobytes(),
            names=tuple(CategoryCounts(column=column, names=names) for column, names in pane.names.items()),
        )

    def _progress(self, partition: int, source: Source, revision: int) -> list[PaneEvent]:
        """What is new of each model's progress. Idle, its time goes on at the pace of the wall clock."""
        events: list[PaneEvent] = []
        now = self._now()
        for number, tally in source.state.tallies.items():
            if tally.event_time == NEVER:
                continue
            watched = self._watched[number]
            silent = now - source.arrived.setdefault(number, now)
            idle = silent >= watched.windows.idle_after and source.caught_up[0]
            event_time = tally.event_time + (round(silent * MICROSECONDS) if idle else 0)
            news = (event_time // watched.pane if idle else event_time, idle, revision)
            if source.told.get(number) != news:
                source.told[number] = news
                events.append(_progress_of(watched, tally, partition, revision, event_time, idle=idle))
        return events

    def _sweep(self, source: Source) -> None:
        caught_up = source.caught_up[1] and self._now() - source.fed_at >= FEEDBACK_QUIET_SECONDS
        if not expiry.sweep(source.state, feedback_caught_up=caught_up):
            return
        horizons = {m: tally.swept for m, tally in source.state.tallies.items()}
        while source.keys:
            value = self._table.get(source.keys[0])
            if value and not expiry.is_spent(_deltas.decode(value), source.state, horizons):
                break
            self._table.pop(source.keys.pop(0), None)


def _progress_of(
    watched: Watched, tally: Tally, partition: int, revision: int, event_time: int, *, idle: bool
) -> Progress:
    return Progress(
        model=watched.profile.model,
        model_version=watched.profile.model_version,
        profile_id=watched.profile.profile_id,
        partition=partition,
        revision=revision,
        event_time=event_time / MICROSECONDS,
        idle=idle,
        settled=tally.swept / MICROSECONDS if tally.swept > NEVER else None,
        predictions=tally.predictions,
        feedback=tally.feedback,
        duplicates=tally.duplicates,
        late=tally.late,
        expired=tally.expired,
    )


def key_of(event: PaneEvent) -> bytes:
    """The key of a pane event: what it replaces."""
    names = f"{event.model}/{event.model_version}/{event.profile_id}"
    if isinstance(event, Progress):
        return f"{names}/progress/{event.partition}".encode()
    return f"{names}/{event.kind}/{event.pane_start!r}/{event.partition}".encode()


def partition_of(model: str, version: str, partitions: int) -> int:
    """The partition of `panes` and `reports` that holds a model version."""
    return crc32(f"{model}/{version}".encode()) % partitions
