"""What the join publishes of its panes, and where it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

from app.core.joining import MICROSECONDS, NEVER, Tally, Watched
from app.core.pane import Pane
from app.core.pane_sums import PaneKey
from topics.events import CategoryCounts, PaneEvent, PanePartial, Progress


def partial_of(watched: Watched, number: int, kind: str, pane: Pane, partition: int, revision: int) -> PanePartial:
    """A pane's whole count so far, of one source partition."""
    return PanePartial(
        model=watched.profile.model,
        model_version=watched.profile.model_version,
        profile_id=watched.profile.profile_id,
        kind="input" if kind == "input" else "outcome",
        pane_start=number * watched.pane / MICROSECONDS,
        partition=partition,
        revision=revision,
        n=pane.n,
        indices=pane.indices.astype("<i4").tobytes(),
        counts=pane.counts.astype("<i8").tobytes(),
        sums=pane.sums.astype("<i8").tobytes(),
        names=tuple(CategoryCounts(column=column, names=names) for column, names in pane.names.items()),
    )


def partials_of(
    watched: Sequence[Watched],
    inputs: Mapping[PaneKey, Pane],
    outcomes: Mapping[PaneKey, Pane],
    partition: int,
    revision: int,
) -> list[PaneEvent]:
    """Panes' whole counts so far, of inputs and of outcomes."""
    return [
        partial_of(watched[model], number, kind, total, partition, revision)
        for kind, totals in (("input", inputs), ("outcome", outcomes))
        for (model, number), total in totals.items()
    ]


def progress_of(
    watched: Watched, tally: Tally, partition: int, revision: int, event_time: int, *, idle: bool, waiting: int = 0,
    expired_feedback: int = 0,
) -> Progress:  # fmt: skip
    """How far one source partition has come with a model version, `event_time` in microseconds.

    `waiting` and `expired_feedback` are counts of the partition (see `Progress`).
    """
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
        waiting=waiting,
        expired_feedback=expired_feedback,
        behind=(tally.recorded - tally.event_time) / MICROSECONDS if tally.recorded > NEVER else None,
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
