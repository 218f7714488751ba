"""Reports made of the results of a window, and the note of what was issued."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from zlib import crc32

import msgspec

from app.core.evaluation.results import DriftDecision, PerformanceDecision, Traffic
from app.core.join.state import MICROSECONDS
from app.core.usual.live import UsualState
from app.core.windows.model_windows import ModelWindows
from app.core.windows.moving_reference import MovedReference
from topics.events import (
    AnyReport,
    DriftReport,
    JudgedFrom,
    MetricScales,
    PerformanceReport,
    ReferenceSpan,
    Scales,
    TrafficReport,
    Usual,
    report_from,
)

TOTALS = ("feedback", "duplicates", "late", "expired", "waiting", "too_late")
NOT_COUNTED = {"late": "late", "repeated id": "duplicates"}
WITHOUT_A_PAIR = {
    "no truth in time": "expired", "truth too late": "expired_feedback", "truth without a prediction": "waiting",
}  # fmt: skip
"""Names in reports of the totals of predictions that are not counted, and of records that were not joined."""

RECENT = 10
"""Windows over which the usual share with feedback, and truth that comes too late, are averaged."""
PAUSES = 20
"""Pauses between feedback that are remembered."""


class Issued(msgspec.Struct, frozen=True, array_like=True):
    """Note of what was last issued of a window: its revision, and the source of each report.

    The other fields are for the next window of a live model. `feedback`: feedback in all. `silent`: panes since
    feedback last came. `pauses`: the lengths of the last pauses. `coverage`: the usual share with feedback. `left_out`:
    what the reports named as not counted. `too_late`: truth in all that came too late. `recent_late`, `recent_joined`:
    the same and the joined truth of the last windows, fading.
    """

    revision: int
    drift: int
    performance: int
    traffic: int = 0
    feedback: int = -1
    silent: int = 0
    pauses: tuple[int, ...] = ()
    coverage: float = -1.0
    left_out: int = 0
    truth: int = 0
    too_late: int = -1
    recent_late: float = 0.0
    recent_joined: float = 0.0

    def after(self, feedback: int, coverage: float, panes: int, too_late: int = 0) -> Issued:
        """Return the note for the window after this one."""
        left = 1.0 - 1.0 / (RECENT * panes)
        late = 0 if self.too_late < 0 else max(0, too_late - self.too_late)
        joined = 0 if self.feedback < 0 else max(0, feedback - self.feedback)
        noted = msgspec.structs.replace(
            self, too_late=too_late, recent_late=self.recent_late * left + late,
            recent_joined=self.recent_joined * left + joined,
        )  # fmt: skip
        return noted._fed(feedback, coverage, panes)

    def _fed(self, feedback: int, coverage: float, panes: int) -> Issued:
        usual = coverage if self.coverage < 0 else self.coverage + (coverage - self.coverage) / (RECENT * panes)
        if self.feedback < 0 or feedback <= self.feedback:
            silent = self.silent + 1 if self.feedback >= 0 else 0
            return msgspec.structs.replace(self, feedback=feedback, silent=silent, coverage=usual)
        pauses = (*self.pauses, self.silent + 1)[-PAUSES:]
        return msgspec.structs.replace(self, feedback=feedback, silent=0, pauses=pauses, coverage=usual)


def _envelope(
    windows: ModelWindows, end: int, revision: int, now: datetime, panes: int | None = None
) -> dict[str, object]:
    """Return the fields that every report has. `panes`: the length of a window that is not as long as usual."""
    pane = windows.pane / MICROSECONDS
    first = end - (panes or windows.panes) + 1
    return {
        "model": windows.profile.model,
        "model_version": windows.profile.model_version,
        "profile_id": windows.profile.profile_id,
        "window_start": datetime.fromtimestamp(first * pane, UTC),
        "window_end": datetime.fromtimestamp((end + 1) * pane, UTC),
        "revision": revision,
        "emitted_at": now,
    }


def drift_report(  # noqa: PLR0913 (a report has that many sides)
    windows: ModelWindows,
    end: int,
    found: DriftDecision,
    revision: int,
    now: datetime,
    panes: int | None = None,
    unjudged: int | None = None,
    *,
    usual: UsualState | None = None,
    reference: MovedReference | None = None,
) -> DriftReport:
    """Return the report of a window's drift. `panes`: the window's panes, where that is not the usual number.

    `unjudged`: since when nothing is judged (microseconds of event time); None for a judged window. `usual`: the usual
    effects by which the window was judged. `reference`: the rows that it was compared with, where the reference moves.
    """
    envelope = _envelope(windows, end, revision, now, panes)
    more: dict[str, object] = {"left_out": _left_out(windows, NOT_COUNTED)}
    for name, after in (("expected", found.needed_panes), ("expected_first", found.first_panes)):
        if after is not None:
            more[name] = datetime.fromtimestamp((end + 1 + after) * windows.pane / MICROSECONDS, UTC)
    if unjudged is not None:
        more["not_judged_since"] = datetime.fromtimestamp(unjudged / MICROSECONDS, UTC)
    if usual is not None:
        more["usual"] = _usual_of(windows, end, usual)
    if reference is not None:
        since, until = (datetime.fromtimestamp(at, UTC) for at in (reference.since, reference.until))
        more["reference"] = ReferenceSpan(since=since, until=until, n=reference.n, error=reference.error)
    report = report_from(DriftReport, found, **envelope, **more)
    if report.scales is None:
        return report
    return msgspec.structs.replace(report, scales=_timed(report.scales, end, windows.pane / MICROSECONDS))


def _usual_of(windows: ModelWindows, end: int, state: UsualState) -> Usual:
    """Return the usual effects by which a window was judged, and their source."""
    since, until = (None if at is None else datetime.fromtimestamp(at, UTC) for at in (state.since, state.until))
    columns = tuple(
        JudgedFrom(name=one.name, judged_from=one.judged_from, after=one.after) for one in windows.judged_from(end)
    )
    return Usual(
        source=state.source, since=since, until=until, days=state.days, needs=state.needs, columns=columns
    )  # fmt: skip


def _timed(scales: Scales, end: int, pane: float) -> Scales:
    """Return the scales with times in addition to the numbers of panes."""

    def start(panes: int) -> datetime:
        return datetime.fromtimestamp((end - panes + 1) * pane, UTC)

    found = [
        msgspec.structs.replace(
            one, start=start(one.panes), since=start(one.since_panes - 1),
            earliest=start(one.earliest_panes), latest=start(one.latest_panes - 1),
        )
        for one in scales.found
    ]  # fmt: skip
    whole = scales.data_drift
    if whole is not None:
        whole = msgspec.structs.replace(whole, start=start(whole.panes))
    return msgspec.structs.replace(scales, found=tuple(found), data_drift=whole)


def performance_report(
    windows: ModelWindows,
    end: int,
    found: PerformanceDecision,
    revision: int,
    now: datetime,
    panes: int | None = None,
) -> PerformanceReport:
    """Return the report of a window's performance. `panes`: the window's panes, where that is not the usual number."""
    envelope = _envelope(windows, end, revision, now, panes)
    more: dict[str, object] = {"left_out": _left_out(windows, WITHOUT_A_PAIR)}
    if found.needed_panes is not None:
        more["expected"] = datetime.fromtimestamp((end + 1 + found.needed_panes) * windows.pane / MICROSECONDS, UTC)
    report = report_from(PerformanceReport, found, **envelope, **more)
    if report.scales is None:
        return report
    return msgspec.structs.replace(report, scales=_timed_metrics(report.scales, end, windows.pane / MICROSECONDS))


def _timed_metrics(scales: MetricScales, end: int, pane: float) -> MetricScales:
    """Return the scales with times in addition to the numbers of panes."""

    def before(panes: int) -> datetime:
        return datetime.fromtimestamp((end - panes + 1) * pane, UTC)

    found = [
        msgspec.structs.replace(
            one, since=before(one.since_panes - 1), earliest=before(one.earliest_panes - 1),
            latest=before(one.latest_panes - 1), end=before(one.end_panes - 1),
        )
        for one in scales.found
    ]  # fmt: skip
    if not scales.spans:
        return scales
    start, last = before(scales.start_panes), before(scales.end_panes - 1)
    return msgspec.structs.replace(scales, found=tuple(found), start=start, end=last)


def traffic_report(
    windows: ModelWindows, end: int, found: Traffic, note: Issued, revision: int, now: datetime
) -> TrafficReport:
    """Return the report of a window's traffic. `note`: what is known of the windows before."""
    totals = windows.totals.values()
    return report_from(
        TrafficReport,
        found,
        **_envelope(windows, end, revision, now),
        n=sum(found.counts),
        usual_coverage=note.coverage,
        feedback_silent=note.silent,
        feedback_longest=max(note.pauses, default=0),
        feedback_gaps=len(note.pauses),
        recent_too_late=note.recent_late,
        recent_joined=note.recent_joined,
        **{name: sum(getattr(t, name) for t in totals) for name in TOTALS},
    )


def message_of(report: AnyReport) -> tuple[bytes, bytes]:
    """Return a report's key in the topic, and its value."""
    kind = report.__struct_config__.tag
    key = f"{report.model}/{report.model_version}/{kind}/{report.window_end.timestamp():.0f}"
    return key.encode(), msgspec.json.encode(report)


def left_out_source(windows: ModelWindows) -> int:
    """Return a checksum of the left-out records that a window's reports would name now; 0 where there are none."""
    found = _left_out(windows, NOT_COUNTED), _left_out(windows, WITHOUT_A_PAIR)
    return crc32(repr(found).encode()) if any(found) else 0


def _left_out(windows: ModelWindows, names: Mapping[str, str]) -> dict[str, int]:
    """Return the totals over the partitions by their reasons, without those that are zero."""
    sums = {reason: sum(getattr(t, name) for t in windows.totals.values()) for reason, name in names.items()}
    return {reason: n for reason, n in sums.items() if n}
