"""Intake of batches of predictions and of feedback into a source partition of the join."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.join.model_index import ModelIndex
from agents.join.partition import JoinPartition
from agents.loop_slices import in_thread
from app.core.join.feedback import add_feedback
from app.core.join.predictions import add_predictions, reaches_back
from app.core.join.state import MICROSECONDS
from app.ingest.decoding import AHEAD, Record, Rejected, broker_times, is_ahead, unregistered
from app.ingest.feedback import feedback_batch
from app.ingest.predictions import PredictionColumns, heads_of, heartbeat_of, is_heartbeat
from app.ingest.rekeying import origin_of, repeats, strays
from app.ingest.unknown_fields import UnknownFieldsLog
from topics.events import FeedbackEvent, PredictionEvent, to_epoch
from topics.registry import FEEDBACK, PREDICTIONS

T = TypeVar("T")

_timestamp = attrgetter("timestamp")
_headers = attrgetter("headers")

MOST_IN_LOOP = 500
"""Records that are read and counted within the loop. More are read in a thread, so that the loop runs on."""
PER_VERSION = 25
"""Cost of a model version in a batch, in records."""


async def _counted(n: int, count: Callable[[], T]) -> T:
    """Read or count `n` records. No other coroutine uses the state of the partition meanwhile: its agent waits."""
    return await in_thread(count) if n > MOST_IN_LOOP else count()


@dataclass(slots=True)
class BatchLeftovers:
    """Records of a batch that are not counted here: rejected, or of another partition. In offset order."""

    rejected: list[Rejected] = field(default_factory=list)
    away: list[Record] = field(default_factory=list)


class BatchIntake:
    """Intake of batches for any source partition. It returns the records that are not counted. Times are by `now`.

    `partitions`: the number of the topics' partitions; 0: every record belongs to the partition that has it.
    """

    def __init__(
        self,
        models: ModelIndex,
        now: Callable[[], float],
        partitions: int,
        learns: Callable[[str, str], bool] = lambda model, version: False,
    ) -> None:
        """Create the intake. `learns`: whether a model version learns its reference; its predictions are left out."""
        self._models = models
        self._learns = learns
        self._now = now
        self._partitions = partitions
        self._columns = PredictionColumns(models.watched, models.number_of, learns)
        self._fields_of_predictions = UnknownFieldsLog(PREDICTIONS.name, PredictionEvent)
        self._fields_of_feedback = UnknownFieldsLog(FEEDBACK.name, FeedbackEvent)

    async def predictions(self, source: JoinPartition, partition: int, records: Sequence[Record]) -> BatchLeftovers:
        """Count predictions, and take heartbeats, in the order in which they came."""
        self._fields_of_predictions.look_at(partition, records)
        taken = BatchLeftovers()
        moved: dict[int, int] = {}
        first, last = records[0].timestamp, records[-1].timestamp
        records = self._without_repeats(source, 0, records)
        start = 0
        headed = any(map(_headers, records))
        beats = [i for i, record in enumerate(records) if is_heartbeat(record)] if headed else []
        for beat in (*beats, len(records)):
            if beat > start:
                moved |= await self._count(source, partition, records[start:beat], taken)
            if beat < len(records):
                taken.rejected += await self._beat(source, records[beat], moved)
            start = beat + 1
        source.progress.held.reached(first, last, moved)
        return taken

    def _without_repeats(self, source: JoinPartition, topic: int, records: Sequence[Record]) -> Sequence[Record]:
        if not self._partitions or not any(map(_headers, records)):
            return records
        again = repeats(records, topic, source.state.rekeyed)
        return [record for i, record in enumerate(records) if i not in again] if again else records

    def _strays(self, partition: int, records: Sequence[Record]) -> NDArray[np.bool_] | None:
        """Return a mask of the records that belong to another partition; None where there is none."""
        if not self._partitions:
            return None
        found = strays(records, partition, self._partitions)
        return found if found.any() else None

    async def _count(
        self, source: JoinPartition, partition: int, records: Sequence[Record], taken: BatchLeftovers
    ) -> dict[int, int]:
        """Count predictions. Return the event times that they have advanced, by model number."""
        heads = await _counted(len(records), partial(heads_of, records, self._columns.expected))
        versions = list(heads.versions())
        await self._models.look_up(versions)
        cost = len(records) + PER_VERSION * len(versions)
        batch, rejected, kept = await _counted(cost, partial(self._columns.batch, heads))
        away = self._strays(partition, kept)
        arrived = []
        if self._partitions and any(map(_headers, kept)):
            arrived = [i for i, record in enumerate(kept) if record.headers and origin_of(record) is not None]
        if away is not None or arrived:
            rekeyed = np.zeros(len(kept), np.bool_)
            rekeyed[arrived] = True
            batch = replace(batch, away=away, rekeyed=rekeyed)
        for number in reaches_back(source.state, batch):
            source.chain.reach_back(source.state, number)
        tallies = {number: source.state.tally(number) for number in np.unique(batch.model).tolist()}
        before = [tally.event_time for tally in tallies.values()]
        late = await _counted(cost, partial(add_predictions, source.state, batch))
        recorded = max(map(_timestamp, records)) * 1000
        source.progress.note_arrival(tallies, self._now())
        for tally in tallies.values():
            tally.recorded = max(tally.recorded, recorded)
        taken.rejected += rejected
        taken.rejected += [
            Rejected(kept[i], "late: older than this model's lateness allows", True) for i in late.tolist()
        ]
        if away is not None:
            away[late] = False
            taken.away += [kept[i] for i in np.flatnonzero(away).tolist()]
        return {
            number: tally.event_time
            for (number, tally), time in zip(tallies.items(), before, strict=True)
            if tally.event_time > time
        }

    async def _beat(self, source: JoinPartition, record: Record, moved: dict[int, int]) -> list[Rejected]:
        """Take a heartbeat, and note in `moved` the event time that it has advanced. Return rejected records."""
        beat = heartbeat_of(record)
        if isinstance(beat, Rejected):
            return [beat]
        await self._models.look_up([(beat.model, beat.model_version)])
        number = self._models.number_of(beat.model, beat.model_version)
        if number is None and self._learns(beat.model, beat.model_version):
            return []
        if number is None:
            return [Rejected(record, unregistered(beat.model, beat.model_version), True)]
        ahead = self._models.watched[number].windows.ahead
        if is_ahead(record, to_epoch(beat.timestamp), ahead):
            return [Rejected(record, AHEAD % ahead, True)]
        tally = source.state.tally(number)
        believed = min(round(to_epoch(beat.timestamp) * MICROSECONDS), int(broker_times([record])[0]))
        if believed > tally.event_time:
            tally.event_time = moved[number] = believed
        source.progress.note_arrival([number], self._now())
        return []

    async def feedback(self, source: JoinPartition, partition: int, records: Sequence[Record]) -> BatchLeftovers:
        """Join feedback to its predictions, or keep it until they come."""
        source.progress.fed_at = self._now()
        self._fields_of_feedback.look_at(partition, records)
        last = records[-1].timestamp
        records = self._without_repeats(source, 1, records)
        away = self._strays(partition, records)
        taken = BatchLeftovers()
        if away is not None:
            elsewhere = [records[i] for i in np.flatnonzero(away).tolist()]
            records = [records[i] for i in np.flatnonzero(~away).tolist()]
            taken.rejected = feedback_batch(elsewhere)[1]
            wrong = {one.record.offset for one in taken.rejected}
            taken.away = [record for record in elsewhere if record.offset not in wrong]
        batch, rejected = await _counted(len(records), partial(feedback_batch, records))
        await _counted(len(records), partial(add_feedback, source.state, batch))
        taken.rejected = sorted(taken.rejected + rejected, key=lambda one: one.record.offset)
        source.progress.held.fed(last)
        return taken
