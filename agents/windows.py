"""Panes become reports: windows are added up, judged at each pane's end, and judged again for late truth."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from zlib import crc32

import msgspec
import numpy as np

from agents.sending import Reject
from agents.window_reports import Issued, drift_report, left_out_source, performance_report, traffic_report
from app.core.joining import MICROSECONDS
from app.core.pane import Pane
from app.core.rolling import ModelWindows, Totals
from app.ingest.decoding import EARLIEST, LATEST, STRAY, UNREADABLE, Record, Rejected, reason_of
from app.runtime.models_view import RegisteredModel
from topics.events import AnyReport, PaneEvent, PanePartial, Progress

log = logging.getLogger(__name__)

MOST_AT_ONCE = 200
"""Windows judged before other partitions get their turn."""

REVISIONS_SINCE = datetime(2020, 1, 1, tzinfo=UTC)
"""Revisions count milliseconds: after a crash between a report and its note the next one is still higher."""

_panes: msgspec.json.Decoder[PaneEvent] = msgspec.json.Decoder(PaneEvent)

PublishReports = Callable[[int, Sequence[tuple[bytes, bytes]]], Awaitable[None]]
"""Partition, keys and values. Returns once Kafka has them."""

Key = tuple[str, str, str]
"""Model, version, profile."""


_notes = msgspec.json.Decoder(Issued)


class _Part:
    """One partition of `panes`: its models, and whether its log has been read to the end once."""

    def __init__(self) -> None:
        self.models: dict[Key, ModelWindows] = {}
        self.caught_up = False
        self.reissued_at = 0.0
        self.next_offset = 0


class WindowsAgent:
    """The agent's logic. `table` holds which revisions of a window's reports were issued, to issue none twice.

    The panes themselves are read again from the log's start at every assignment: they are totals, the topic is
    compacted, and so the topic is its own changelog.
    """

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
    ) -> None:
        """`reported` is called with each report once Kafka has it."""
        self._table = table
        self._reported = reported
        self._model_of = model_of
        self._partitions = partitions
        self._reissue_seconds = reissue_seconds
        self._now = now
        self._wall = wall
        self._parts: dict[int, _Part] = {}

    def forget(self) -> None:
        """Drop all panes: they are read again."""
        self._parts.clear()

    def position(self, partition: int) -> int:
        """The offset to read a partition of `panes` from: the start, or where this assignment has come to."""
        part = self._parts.get(partition)
        return 0 if part is None else part.next_offset

    async def handle(
        self, partition: int, records: Sequence[Record], publish: PublishReports, reject: Reject, *, caught_up: bool
    ) -> None:
        """Take a run of panes, or a tick (an empty run); judge what is due."""
        part = self._parts.setdefault(partition, _Part())
        rejected = [bad for record in records if (bad := self._take(part, record)) is not None]
        if rejected:
            await reject(rejected)
        part.caught_up = part.caught_up or caught_up
        if part.caught_up:
            await self._judge(partition, part, publish)

    def _take(self, part: _Part, record: Record) -> Rejected | None:
        part.next_offset = record.offset + 1
        if record.value is None:
            return None
        try:
            event = _panes.decode(record.value)
        except UNREADABLE as error:
            return Rejected(record, reason_of(error))
        try:
            return self._count(part, record, event)
        except STRAY as error:
            return Rejected(record, f"it is no pane of its profile: {type(error).__name__}")

    def _count(self, part: _Part, record: Record, event: PaneEvent) -> Rejected | None:
        if not 0 <= event.partition < self._partitions:
            return Rejected(record, f"`partition` is not below {self._partitions}")
        windows = self._windows(part, (event.model, event.model_version, event.profile_id))
        if windows is None:
            return None
        if isinstance(event, Progress):
            settled = None if event.settled is None else round(event.settled * MICROSECONDS)
            if not EARLIEST <= event.event_time < LATEST:
                return Rejected(record, "`event_time` is outside 1970 to 2100")
            newest = round(event.event_time * MICROSECONDS)
            windows.progress(event.partition, event.revision, newest, settled, idle=event.idle)
            behind = None if event.behind is None else round(event.behind * MICROSECONDS)
            totals = Totals(
                event.feedback, event.duplicates, event.late, event.expired, event.waiting, event.expired_feedback
            )
            windows.arrived(event.partition, behind, totals)
        else:
            if not EARLIEST <= event.pane_start < LATEST:
                return Rejected(record, "`pane_start` is outside 1970 to 2100")
            pane = round(event.pane_start * MICROSECONDS) // windows.pane
            found = _fitting(_pane_of(event), *windows.size_of(event.kind))
            windows.add(event.kind, pane, event.partition, event.revision, found)
        return None

    def _windows(self, part: _Part, key: Key) -> ModelWindows | None:
        """The windows of a profile; None where another profile has taken its place."""
        windows = part.models.get(key)
        found = self._model_of(key[0], key[1])
        if found is None or found.profile.profile_id != key[2]:
            return None
        if windows is None or windows.monitoring.windows != found.monitoring.windows:
            windows = part.models[key] = ModelWindows(found.profile, found.monitoring, self._partitions, self._now())
        windows.monitoring = found.monitoring
        return windows

    async def _judge(self, partition: int, part: _Part, publish: PublishReports) -> None:
        """Judge what is due, publish what is new of it, then note it as issued: a crash in between repeats it."""
        now = self._now()
        again = now - part.reissued_at >= self._reissue_seconds
        found: list[tuple[str, bytes, list[AnyReport]]] = []
        for key, windows in part.models.items():
            for end in windows.due(now):
                issued = self._issued(key, end)
                if issued is not None and not again:
                    continue
                if len(found) >= MOST_AT_ONCE:
                    break
                found += self._evaluate(key, windows, end, issued)
            if again and windows.quiet:
                found += self._told_anew(key, windows)
            windows.forget()
        if again and len(found) < MOST_AT_ONCE:
            part.reissued_at = now
        if found:
            await publish(partition, [_message(report) for _, _, reports in found for report in reports])
        for name, issued_now, reports in found:
            self._table[name] = issued_now
            for report in reports:
                self._reported(report)

    def _told_anew(self, key: Key, windows: ModelWindows) -> list[tuple[str, bytes, list[AnyReport]]]:
        """The newest window again, where more was left out of all windows since: no other window will follow."""
        issued = self._issued(key, windows.latest)
        if issued is None or windows.latest in windows.changed or issued.left_out == left_out_source(windows):
            return []
        return self._evaluate(key, windows, windows.latest, msgspec.structs.replace(issued, drift=-1, performance=-1))

    def _evaluate(
        self, key: Key, windows: ModelWindows, end: int, issued: Issued | None
    ) -> list[tuple[str, bytes, list[AnyReport]]]:
        """Judge a window: the table's note of it and the reports that are new; nothing when none is."""
        found = windows.evaluate(end, None if issued is None else (issued.drift, issued.performance))
        if found is None:
            return []
        now = self._wall()
        revision = max(round((now - REVISIONS_SINCE).total_seconds() * 1000), issued.revision + 1 if issued else 0)
        reports: list[AnyReport] = []
        if found.drift is not None:
            reports.append(drift_report(windows, end, found.drift, revision, now, found.panes))
        if found.performance is not None:
            reports.append(performance_report(windows, end, found.performance, revision, now, found.panes))
        note = Issued(0, 0, 0) if issued is None else issued
        if found.traffic is not None:
            source = crc32(repr(found.traffic).encode())
            if issued is None or issued.feedback < 0:
                total = sum(totals.feedback for totals in windows.totals.values())
                before = self._issued(key, end - 1) or Issued(0, 0, 0)
                note = before.after(total, found.traffic.coverage, windows.panes)
            if issued is None or source != issued.traffic:
                reports.append(traffic_report(windows, end, found.traffic, note, revision, now))
            note = msgspec.structs.replace(note, traffic=source)
        note = msgspec.structs.replace(
            note, revision=revision, drift=found.drift_source, performance=found.performance_source,
            left_out=left_out_source(windows),
        )  # fmt: skip
        return [(_name(key, end), msgspec.json.encode(note), reports)] if reports else []

    def _issued(self, key: Key, end: int) -> Issued | None:
        value = self._table.get(_name(key, end))
        return _notes.decode(value) if value else None


def _message(report: AnyReport) -> tuple[bytes, bytes]:
    kind = report.__struct_config__.tag
    key = f"{report.model}/{report.model_version}/{kind}/{report.window_end.timestamp():.0f}"
    return key.encode(), msgspec.json.encode(report)


def _name(key: Key, end: int) -> str:
    return f"{'/'.join(key)}/{end}"


def _pane_of(event: PanePartial) -> Pane:
    return Pane(
        event.n,
        np.frombuffer(event.indices, "<i4").astype(np.int32),
        np.frombuffer(event.counts, "<i8").astype(np.int64),
        np.frombuffer(event.sums, "<i8").astype(np.int64),
        {tally.column: tally.names for tally in event.names},
    )


def _fitting(pane: Pane, size: int, sums: int) -> Pane:
    """The same pane. Raises ValueError where it does not fit its layout."""
    inside = len(pane.indices) == 0 or (pane.indices.min() >= 0 and pane.indices.max() < size)
    if not inside or len(pane.counts) != len(pane.indices) or len(pane.sums) != sums or pane.n < 0:
        raise ValueError(f"a pane of {size} counts and {sums} sums")
    return pane
