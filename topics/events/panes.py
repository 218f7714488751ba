"""Counts of the join, one source partition at a time."""

from __future__ import annotations

from typing import Literal

from topics.events.base import Event


class CategoryCounts(Event, frozen=True, kw_only=True):
    """Counts of each unexpected name (diagnostics, capped)."""

    column: str
    names: dict[str, int]


class PanePartial(Event, frozen=True, kw_only=True, tag="pane", tag_field="type"):
    """Counts of one source partition in one pane so far (a total, not an increment).

    `indices`, `counts` and `sums` are little-endian int32, int64 and int64 arrays: a sparse count vector and its
    fixed-point sums. Their layout is that of the profile named `profile_id`. A partial with a higher `revision` (the
    recovery it comes from, then the source records applied) replaces one with a lower. A `partition` below 0 comes from
    an earlier prefix.
    """

    model: str
    model_version: str
    profile_id: str
    kind: Literal["input", "outcome"]
    pane_start: float
    partition: int
    revision: int
    n: int
    indices: bytes
    counts: bytes
    sums: bytes
    names: tuple[CategoryCounts, ...] = ()


class Progress(Event, frozen=True, kw_only=True, tag="progress", tag_field="type"):
    """Progress of one source partition with one model version, in event time.

    `event_time` is the newest timestamp seen. `idle` means that no record has arrived for a while, so that the
    partition no longer delays the watermark. Events older than `settled` can no longer change (None: all can). The
    counters are totals since the first record. `behind`: by how many seconds the newest timestamp was older than the
    broker's: few where the model is served live, many where files are replayed. Feedback does not name its model, so
    two counts are of the partition whatever the model. `waiting` is feedback whose prediction has not come.
    `expired_feedback` is feedback that came too late, or waited in vain. `too_late` is the part of `expired_feedback`
    that is known to be this model's.
    """

    model: str
    model_version: str
    profile_id: str
    partition: int
    revision: int
    event_time: float
    idle: bool
    settled: float | None
    predictions: int
    feedback: int
    duplicates: int
    late: int
    expired: int
    behind: float | None = None
    waiting: int = 0
    expired_feedback: int = 0
    too_late: int = 0


PaneEvent = PanePartial | Progress
