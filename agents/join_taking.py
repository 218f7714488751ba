"""Runs of predictions and of feedback, taken into a source partition of the join."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from agents.join_models import WatchedModels
from agents.join_source import Source
from app.core.join_feedback import add_feedback
from app.core.join_predictions import add_predictions
from app.core.joining import MICROSECONDS, NEVER
from app.ingest.decoding import AHEAD, Record, Rejected, is_ahead, unregistered
from app.ingest.feedback import feedback_batch
from app.ingest.predictions import PredictionColumns, heads_of, heartbeat_of, is_heartbeat
from topics.events import to_epoch

_timestamp = attrgetter("timestamp")


class Taking:
    """Counts runs for whatever source they are of; answers what of them cannot be counted. Times by `now`."""

    def __init__(self, models: WatchedModels, now: Callable[[], float]) -> None:
        self._models = models
        self._now = now
        self._columns = PredictionColumns(models.watched, models.number_of)

    async def predictions(self, source: Source, records: Sequence[Record]) -> list[Rejected]:
        """Count predictions, and hear heartbeats, in the order in which they came."""
        rejected: list[Rejected] = []
        before = source.state.event_times
        start = 0
        beats = [i for i, record in enumerate(records) if is_heartbeat(record)]
        for beat in (*beats, len(records)):
            if beat > start:
                rejected += await self._count(source, records[start:beat])
            if beat < len(records):
                rejected += await self._beat(source, records[beat])
            start = beat + 1
        moved = {number: time for number, time in source.state.event_times.items() if time > before.get(number, NEVER)}
        source.held.reached(records[0].timestamp, records[-1].timestamp, moved)
        return rejected

    async def _count(self, source: Source, records: Sequence[Record]) -> list[Rejected]:
        heads = heads_of(records, self._columns.expected)
        await self._models.look_up(heads.versions())
        batch, rejected, kept = self._columns.batch(heads)
        late = add_predictions(source.state, batch)
        now = self._now()
        recorded = max(map(_timestamp, records)) * 1000
        for number in set(batch.model.tolist()):
            source.arrived[number] = now
            tally = source.state.tally(number)
            tally.recorded = max(tally.recorded, recorded)
        return rejected + [
            Rejected(kept[i], "late: older than this model's lateness allows", True) for i in late.tolist()
        ]

    async def _beat(self, source: Source, record: Record) -> list[Rejected]:
        beat = heartbeat_of(record)
        if isinstance(beat, Rejected):
            return [beat]
        await self._models.look_up([(beat.model, beat.model_version)])
        number = self._models.number_of(beat.model, beat.model_version)
        if number is None:
            return [Rejected(record, unregistered(beat.model, beat.model_version), True)]
        ahead = self._models.watched[number].windows.ahead
        if is_ahead(record, to_epoch(beat.timestamp), ahead):
            return [Rejected(record, AHEAD % ahead, True)]
        tally = source.state.tally(number)
        tally.event_time = max(tally.event_time, round(to_epoch(beat.timestamp) * MICROSECONDS))
        source.arrived[number] = self._now()
        return []

    async def feedback(self, source: Source, records: Sequence[Record]) -> list[Rejected]:
        """Join feedback to its predictions, or keep it until they come."""
        source.fed_at = self._now()
        batch, rejected = feedback_batch(records)
        add_feedback(source.state, batch)
        source.held.fed(records[-1].timestamp)
        return rejected
