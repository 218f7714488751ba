"""Mapping of a source's records to predictions and feedback, each sent to the partition of its id."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence

from agents.agent import Agent
from agents.applied_offsets import records_from
from agents.output import Output, TooLarge
from app.faust_batches.batch import Batch, Log
from app.ingest.decoding import Record, Rejected
from app.kafka.bounded_slices import bounded_slices
from app.kafka.producer import Outgoing
from app.sources.hiding import SourceHiding
from app.sources.schema_registry import RegistryUnavailable
from app.sources.source import EventSource, SourceRun
from topics.registry import FEEDBACK, PREDICTIONS, Topic

log = logging.getLogger(__name__)

TOGETHER, BYTES_TOGETHER = 1000, 512 << 10
"""Records, and bytes of their values, that are mapped before other agents get their turn."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two attempts to get a schema."""


class SourceAgent(Agent):
    """Agent that maps the records of one topic by each source that reads it.

    It has no table: it reads on from the committed offset. After a crash some records are mapped again. The join
    counts each id once.
    """

    def __init__(
        self,
        sources: Sequence[EventSource],
        log_of: Callable[[Topic, int], Log | None],
        hiding: SourceHiding | None = None,
        *,
        counted: Callable[[str, Counter[str]], None] = lambda source, counts: None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Create the agent of `sources`, which read one topic. `hiding` hides what the models' registrations require.

        `counted` is called with a source's name and the number of its records by outcome.
        """
        self._sources = tuple(sources)
        self._log_of = log_of
        self._counted = counted
        self._wait = pause
        self._hiding = hiding
        self._applied: dict[int, int] = {}
        topic = self._sources[0].topic
        self.name = f"source-{topic.name}"
        self.inputs = (topic,)

    def position(self, topic: Topic, partition: int) -> int:
        """Return the offset to read from: the committed one, or the log's beginning if none is committed.

        Records that were applied here since the commit are not read again. If the offset is beyond the log's end, the
        topic was deleted and created again, and is read from its beginning.
        """
        applied, known = self._applied.get(partition, 0), self._log_of(topic, partition)
        if known is None:
            return applied
        wanted = max(applied, known.committed, known.begin)
        if wanted <= known.end:
            return wanted
        log.warning("%s partition %d ends before offset %d: it is read anew", topic.name, partition, wanted)
        self._applied.pop(partition, None)
        return known.begin

    async def handle(self, batch: Batch, out: Output) -> None:
        """Map a batch and send it: predictions first, then feedback, then dead letters."""
        records = records_from(self._applied.get(batch.partition, 0), batch.records)
        for some in slices(records):
            rejected: dict[int, Rejected] = {}
            for source in self._sources:
                await self._take(source, some, rejected, out)
            if rejected:
                await out.dead_letter(batch, [rejected[offset] for offset in sorted(rejected)])
            await asyncio.sleep(0)
        self._applied[batch.partition] = max(batch.following, self._applied.get(batch.partition, 0))

    async def _take(
        self, source: EventSource, records: Sequence[Record], rejected: dict[int, Rejected], out: Output
    ) -> None:
        """Map records by one source and send the events. Add records that do not map to `rejected`, by offset."""
        run = await self._mapped(source, records)
        wrong = {one.record.offset: one for one in run.rejected}
        predictions = await self._send(PREDICTIONS, run.predictions, run.prediction_records, wrong, out)
        feedback = await self._send(FEEDBACK, run.feedback, run.feedback_records, wrong, out)
        counts = Counter(
            predictions=predictions, feedback=feedback, rejected=len(wrong), filtered=run.filtered,
            tombstones=run.tombstones,
        )  # fmt: skip
        self._counted(source.declaration.label, counts)
        for offset, one in wrong.items():
            rejected.setdefault(offset, one)

    async def _mapped(self, source: EventSource, records: Sequence[Record]) -> SourceRun:
        """Map records. While the registry cannot be reached, try again: the records are not at fault."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await source.map(records, self._hiding)
            except RegistryUnavailable as error:
                about = {"topic": source.topic.name, "offset": records[0].offset}
                log.warning("source %s waits: %s", source.declaration.label, error, extra=about)
            await self._wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _send(
        self,
        topic: Topic,
        events: Sequence[tuple[bytes, bytes]],
        records: Sequence[Record],
        rejected: dict[int, Rejected],
        out: Output,
    ) -> int:
        """Send events and return how many were sent. Add the records of events that are too large to `rejected`."""
        if not events:
            return 0
        try:
            await out.publish(topic, [Outgoing(key, value) for key, value in events])
        except TooLarge as error:
            for one in error.refused:
                record = records[one.position]
                rejected.setdefault(record.offset, Rejected(record, f"{topic.name}: {one.reason}"))
            return len(events) - len(error.refused)
        return len(events)


def slices(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Yield records in slices of at most TOGETHER records and, if they are several, BYTES_TOGETHER bytes."""
    sizes = (len(record.value or b"") for record in records)
    return (records[some] for some in bounded_slices(sizes, TOGETHER, BYTES_TOGETHER))
