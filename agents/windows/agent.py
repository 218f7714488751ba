"""Agent that adds panes up to windows, evaluates them at each pane's end, and again for late truth."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from datetime import UTC, datetime
from functools import partial
from zlib import crc32

import msgspec

from agents.agent import Agent
from agents.join.pane_events import pane_of
from agents.loop_slices import LoopTurn, in_slices, in_thread
from agents.output import Output
from agents.windows import moving_store
from agents.windows.pane_retention import (
    Key,
    Notes,
    PanePartition,
    forgotten_name,
    judged_name,
    keys_to_delete,
    note_name,
    resume,
)
from agents.windows.reports import (
    Issued,
    drift_report,
    left_out_source,
    message_of,
    performance_report,
    traffic_report,
)
from agents.windows.usual_store import drop, restore
from app.core.evaluation.results import DriftDecision
from app.core.evaluation.too_few import is_judged
from app.core.join.state import MICROSECONDS
from app.core.values.times import believable
from app.core.windows.model_windows import ModelWindows, Totals
from app.faust_batches.batch import Batch
from app.ingest.decoding import STRAY, Record, Rejected, decode
from app.kafka.producer import Outgoing
from app.registration.models_table import RegisteredModel
from topics.events import AnyReport, PaneEvent, Progress
from topics.registry import PANES, REPORTS, Topic

log = logging.getLogger(__name__)

MOST_IN_LOOP = 5
"""Features up to which a window is judged within the loop. A larger one is judged in a thread, so the loop runs on."""
MOST_AT_ONCE = 200
"""Windows judged before other partitions get their turn."""

MOST_BEFORE = 10_000
"""Partitions of the earlier prefixes, which are numbered below 0."""

REVISIONS_SINCE = datetime(2020, 1, 1, tzinfo=UTC)
"""Revisions count milliseconds: after a crash between a report and its note the next one is still higher."""

_panes: msgspec.json.Decoder[PaneEvent] = msgspec.json.Decoder(PaneEvent)


async def _written() -> None:
    """Return at once: a table without a changelog has everything written."""


Issue = tuple[Key, int, bytes, list[AnyReport]]
"""Window's profile and end, the table's note of it, and its new reports."""

_notes = msgspec.json.Decoder(Issued)


class WindowsAgent(Agent):
    """Agent that adds panes up to windows, and judges the windows.

    `table` has the revisions of the reports that were issued, so that none is issued twice. The panes themselves are
    read again from the log's start at every assignment. Panes are totals and the topic is compacted, so the topic is
    its own changelog.

    Panes that no record and no window can reach any more are deleted from the topic. The join publishes the time before
    which it changes nothing more. From then on this agent is the only writer of a pane's key. The newest forgotten pane
    of a profile is `saved` in the table before the first tombstone is sent. So a restart judges no window whose panes
    were deleted, and deletes the remaining ones.
    """

    name = "windows"
    inputs = (PANES,)

    def __init__(
        self,
        table: MutableMapping[str, bytes],
        model_of: Callable[[str, str], RegisteredModel | None],
        *,
        partitions: int,
        reissue_seconds: float,
        reported: Callable[[AnyReport], None] = lambda report: None,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        saved: Callable[[], Awaitable[None]] = _written,
    ) -> None:
        """Create the agent. `reported` is called with each report once Kafka has it.

        `saved` returns once the changelog has the table.
        """
        self._table = table
        self._reported = reported
        self._model_of = model_of
        self._partitions = partitions
        self._reissue_seconds = reissue_seconds
        self._now = now
        self._wall = wall
        self._saved = saved
        self._parts: dict[int, PanePartition] = {}

    def forget(self, partitions: Iterable[int] | None = None) -> None:
        """Drop the panes of partitions (None: all), which are read again."""
        for partition in list(self._parts) if partitions is None else partitions:
            self._parts.pop(partition, None)

    def position(self, topic: Topic, partition: int) -> int:
        """Return the offset to read a partition of `panes` from: the start, or the next offset of this assignment."""
        part = self._parts.get(partition)
        return 0 if part is None else part.next_offset

    def caught_up(self, partition: int) -> bool:
        """Return whether a partition of `panes` has been read to its end once, so that its windows are judged."""
        part = self._parts.get(partition)
        return part is not None and part.caught_up

    async def handle(self, batch: Batch, out: Output) -> None:
        """Take a batch of panes, or a tick. Judge the windows that are due."""
        partition = batch.partition
        part = self._parts.setdefault(partition, PanePartition())
        turn = LoopTurn()
        rejected: list[Rejected] = []
        for record in batch.records:
            bad = await self._take(part, record)
            if bad is not None:
                rejected.append(bad)
            await turn.give()
        if rejected:
            await out.dead_letter(batch, rejected)
        part.caught_up = part.caught_up or batch.caught_up
        if part.caught_up:
            if part.notes is None:
                part.notes = await in_slices(Notes.found(self._table, partition, self._partitions, set(part.seen)))
            await self._judge(partition, part, out, part.notes)
            await self._forget(partition, part, out, part.notes)

    async def _take(self, part: PanePartition, record: Record) -> Rejected | None:
        part.next_offset = record.offset + 1
        part.clock = max(part.clock, record.timestamp)
        if record.value is None:
            return None
        event = decode(record, _panes)
        if isinstance(event, Rejected):
            return event
        key = (event.model, event.model_version, event.profile_id)
        try:
            if key not in part.seen:  # the model is decoded and compiled, which takes tens of milliseconds
                await in_thread(partial(self._windows, part, key))
            return self._count(part, record, key, event)
        except STRAY as error:
            return Rejected(record, f"it is no pane of its profile: {type(error).__name__}")

    def _count(self, part: PanePartition, record: Record, key: Key, event: PaneEvent) -> Rejected | None:
        if not -MOST_BEFORE <= event.partition < self._partitions:
            return Rejected(record, f"`partition` is not below {self._partitions}")
        part.seen[key] = max(record.timestamp, part.seen.get(key, 0))
        windows = self._windows(part, key)
        if windows is None:
            part.leftovers.take(key, event, record.timestamp)
            return None
        if isinstance(event, Progress):
            settled = None if event.settled is None else round(event.settled * MICROSECONDS)
            if not believable(event.event_time):
                return Rejected(record, "`event_time` is outside 1970 to 2100")
            newest = round(event.event_time * MICROSECONDS)
            windows.progress(event.partition, event.revision, newest, settled, idle=event.idle)
            behind = None if event.behind is None else round(event.behind * MICROSECONDS)
            totals = Totals(
                event.feedback,
                event.duplicates,
                event.late,
                event.expired,
                event.waiting,
                event.expired_feedback,
                event.too_late,
            )
            windows.arrived(event.partition, behind, totals)
        else:
            if not believable(event.pane_start):
                return Rejected(record, "`pane_start` is outside 1970 to 2100")
            pane, rest = divmod(round(event.pane_start * MICROSECONDS), windows.pane)
            found = pane_of(event, *windows.size_of(event.kind))
            if rest:
                part.leftovers.take(key, event, record.timestamp, of_other_length=True)
            elif not windows.add(event.kind, pane, event.partition, event.revision, found):
                part.forgotten.append(record.key or b"")
        return None

    def _windows(self, part: PanePartition, key: Key) -> ModelWindows | None:
        """Return the windows of a profile; None where another profile has taken its place."""
        windows = part.models.get(key)
        found = self._registered(key)
        if found is None:
            return None
        if windows is None or windows.monitoring.windows != found.monitoring.windows:
            windows = part.models[key] = ModelWindows(found.profile, found.monitoring, self._partitions, self._now())
            forgotten = self._table.get(forgotten_name(key))
            if forgotten:
                resume(windows, forgotten)
            restore(self._table, key, windows)
            moving_store.restore(self._table, key, windows)
        windows.monitoring = found.monitoring
        if windows.profile.usual != found.profile.usual:
            windows.learn(found.profile)
            drop(self._table, key)
        return windows

    def _registered(self, key: Key) -> RegisteredModel | None:
        found = self._model_of(key[0], key[1])
        return found if found is not None and found.profile.profile_id == key[2] else None

    async def _forget(self, partition: int, part: PanePartition, out: Output, notes: Notes) -> None:
        """Forget unreachable panes and delete them.

        This is noted first, so that the next owner of the partition goes on.
        """
        deleted = keys_to_delete(part, notes, self._table, self._registered)
        if deleted:
            await self._saved()
            await out.publish(PANES, [Outgoing(key, None, partition) for key in deleted])

    async def _judge(self, partition: int, part: PanePartition, out: Output, notes: Notes) -> None:
        """Judge due windows, publish their new reports, then note these as issued. A crash in between repeats them."""
        now = self._now()
        again = now - part.reissued_at >= self._reissue_seconds
        found: list[Issue] = []
        turn = LoopTurn()
        for key, windows in list(part.models.items()):
            await turn.give()
            for end in windows.due(now):
                issued = self._issued(key, end)
                if issued is not None and not again:
                    continue
                if len(found) >= MOST_AT_ONCE:
                    break
                found += await self._evaluate(part, key, windows, end, issued)
                await turn.give()
            if again and windows.quiet:
                found += await self._told_anew(part, key, windows)
        if again and len(found) < MOST_AT_ONCE:
            part.reissued_at = now
        messages: list[Outgoing] = []
        for *_, reports in found:
            messages += [Outgoing(*message_of(report), partition) for report in reports]
            await turn.give()
        if messages:
            await out.publish(REPORTS, messages)
        for key, end, issued_now, reports in found:
            self._table[note_name(key, end)] = issued_now
            notes.noted(key, end)
            for report in reports:
                self._reported(report)
            await turn.give()
        for key, until in part.judged.items():
            self._table[judged_name(key)] = b"%d" % until
        part.judged.clear()

    async def _told_anew(self, part: PanePartition, key: Key, windows: ModelWindows) -> list[Issue]:
        """Issue the newest window again if more records were left out of all windows since.

        No other window will follow.
        """
        issued = self._issued(key, windows.latest)
        if issued is None or windows.latest in windows.changed or issued.left_out == left_out_source(windows):
            return []
        anew = msgspec.structs.replace(issued, drift=-1, performance=-1)
        return await self._evaluate(part, key, windows, windows.latest, anew)

    async def _evaluate(
        self, part: PanePartition, key: Key, windows: ModelWindows, end: int, issued: Issued | None
    ) -> list[Issue]:
        """Judge a window. Return the table's note of it with the new reports; nothing where there are none."""
        known = None if issued is None else (issued.drift, issued.performance, issued.truth)
        if len(windows.profile.features) > MOST_IN_LOOP:
            found = await in_thread(partial(windows.evaluate, end, known))
        else:
            found = windows.evaluate(end, known)
        if found is None:
            return []
        now = self._wall()
        revision = max(round((now - REVISIONS_SINCE).total_seconds() * 1000), issued.revision + 1 if issued else 0)
        reports: list[AnyReport] = []
        if found.drift is not None:
            unjudged = self._unjudged(part, key, windows, end, found.drift)
            reports.append(
                drift_report(
                    windows,
                    end,
                    found.drift,
                    revision,
                    now,
                    found.panes,
                    unjudged,
                    usual=found.usual,
                    reference=found.reference,
                )
            )
        if found.performance is not None:
            reports.append(performance_report(windows, end, found.performance, revision, now, found.panes))
        note = Issued(0, 0, 0) if issued is None else issued
        if found.traffic is not None:
            source = crc32(repr(found.traffic).encode())
            if issued is None or issued.feedback < 0:
                total = sum(totals.feedback for totals in windows.totals.values())
                too_late = sum(totals.too_late for totals in windows.totals.values())
                before = self._issued(key, end - 1) or Issued(0, 0, 0)
                note = before.after(total, found.traffic.coverage, windows.panes, too_late)
            if issued is None or source != issued.traffic:
                reports.append(traffic_report(windows, end, found.traffic, note, revision, now))
            note = msgspec.structs.replace(note, traffic=source)
        note = msgspec.structs.replace(
            note, revision=revision, drift=found.drift_source, performance=found.performance_source,
            left_out=left_out_source(windows), truth=found.truth_source,
        )  # fmt: skip
        return [(key, end, msgspec.json.encode(note), reports)] if reports else []

    def _unjudged(
        self, part: PanePartition, key: Key, windows: ModelWindows, end: int, drift: DriftDecision
    ) -> int | None:
        """Return since when nothing is judged, in microseconds; None where this window is, or a later one was."""
        known = part.judged.get(key) or int(self._table.get(judged_name(key), b"0"))
        ends = (end + 1) * windows.pane
        if is_judged(drift):
            if ends > known:
                part.judged[key] = ends
            return None
        if not known:
            known = part.judged[key] = ends - windows.panes * windows.pane
        return known if known < ends else None

    def _issued(self, key: Key, end: int) -> Issued | None:
        value = self._table.get(note_name(key, end))
        return _notes.decode(value) if value else None
