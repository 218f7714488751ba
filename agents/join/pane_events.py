"""Pane and progress events of the join, their keys, and their partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from app.core.join.state import MICROSECONDS, NEVER, CompiledModel, Tally
from app.core.panes.pane import Pane
from app.core.panes.sums import PaneKey
from app.kafka.producer import Outgoing
from topics.events import CategoryCounts, PaneEvent, PanePartial, Progress
from topics.partition import partition_of

_INDICES, _COUNTS = np.dtype("<i4"), np.dtype("<i8")
_encode = msgspec.json.Encoder().encode


def _bytes_of(values: NDArray[np.integer], kind: np.dtype[Any]) -> bytes:
    return (values if values.dtype == kind else values.astype(kind)).tobytes()


def partial_of(
    watched: CompiledModel, number: int, kind: str, pane: Pane, partition: int, revision: int
) -> PanePartial:
    """Return a pane's total count so far, for one source partition."""
    return PanePartial(
        model=watched.profile.model,
        model_version=watched.profile.model_version,
        profile_id=watched.profile.profile_id,
        kind="input" if kind == "input" else "outcome",
        pane_start=number * watched.pane / MICROSECONDS,
        partition=partition,
        revision=revision,
        n=pane.n,
        indices=_bytes_of(pane.indices, _INDICES),
        counts=_bytes_of(pane.counts, _COUNTS),
        sums=_bytes_of(pane.sums, _COUNTS),
        names=tuple([CategoryCounts(column=column, names=names) for column, names in pane.names.items()]),
    )


def partials_of(
    watched: Sequence[CompiledModel],
    inputs: Mapping[PaneKey, Pane],
    outcomes: Mapping[PaneKey, Pane],
    partition: int,
    revision: int,
) -> list[PaneEvent]:
    """Return the total counts so far of panes of inputs and of outcomes."""
    return [
        partial_of(watched[model], number, kind, total, partition, revision)
        for kind, totals in (("input", inputs), ("outcome", outcomes))
        for (model, number), total in totals.items()
    ]


def pane_of(event: PanePartial, size: int, sums: int) -> Pane:
    """Return the pane in an event. Raises ValueError where it does not fit a layout of `size` counts and `sums`."""
    pane = Pane(
        event.n,
        np.frombuffer(event.indices, "<i4").astype(np.int32),
        np.frombuffer(event.counts, "<i8").astype(np.int64),
        np.frombuffer(event.sums, "<i8").astype(np.int64),
        {tally.column: tally.names for tally in event.names},
    )
    inside = len(pane.indices) == 0 or (pane.indices.min() >= 0 and pane.indices.max() < size)
    if not inside or len(pane.counts) != len(pane.indices) or len(pane.sums) != sums or pane.n < 0:
        raise ValueError(f"a pane of {size} counts and {sums} sums")
    return pane


def progress_of(
    watched: CompiledModel, tally: Tally, partition: int, revision: int, event_time: int, *,
    idle: bool, waiting: int = 0,
    expired_feedback: int = 0,
) -> Progress:  # fmt: skip
    """Return the progress of one source partition with a model version. `event_time` is in microseconds.

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
        too_late=tally.too_late,
        waiting=waiting,
        expired_feedback=expired_feedback,
        behind=(tally.recorded - tally.event_time) / MICROSECONDS if tally.recorded > NEVER else None,
    )


def key_of(event: PaneEvent) -> bytes:
    """Return the key of a pane event. An event replaces the earlier one of the same key."""
    names = event.model, event.model_version, event.profile_id
    if isinstance(event, Progress):
        return progress_key(*names, event.partition)
    return pane_key(*names, event.kind, event.pane_start, event.partition)


def pane_record(event: PaneEvent, partitions: int) -> Outgoing:
    """Return a pane event as a record, in the partition of its model version."""
    partition = partition_of(event.model, event.model_version, partitions)
    return Outgoing(key_of(event), _encode(event), partition)


def of_the_prefix_before(event: PaneEvent, partitions: int) -> PaneEvent:
    """Return the same pane event with a negative partition: no source partition of the new prefix has its number."""
    return replace(event, partition=event.partition - partitions)


def pane_key(model: str, version: str, profile: str, kind: str, start: float, partition: int) -> bytes:
    """Return the key of a source partition's partial of a pane, which starts at `start` in epoch seconds."""
    return f"{model}/{version}/{profile}/{kind}/{start!r}/{partition}".encode()


def progress_key(model: str, version: str, profile: str, partition: int) -> bytes:
    """Return the key of a source partition's progress."""
    return f"{model}/{version}/{profile}/progress/{partition}".encode()
