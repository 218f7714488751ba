"""State of one source partition of the join, and its recovery from the saved deltas."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agents.join.chain import DeltaChain
from agents.join.progress import JoinProgress
from agents.join.store import JoinStore, Offsets, Recent, saved_chain
from app.core.join import delta as join_delta
from app.core.join import expiry
from app.core.join.delta import JoinDelta
from app.core.join.event_time_gate import EventTimeGate
from app.core.join.state import CompiledModel, JoinState
from app.faust_batches.batch import Log
from app.ingest.dead_letter_limit import DeadLetterLimit
from app.kafka.errors import StateLost
from topics.registry import FEEDBACK, PREDICTIONS

log = logging.getLogger(__name__)

SETTLED_EVERY = 100
"""Deltas after which a recovery drops the panes that nothing can change any more: a retention has many."""

EPOCHS_SINCE = 1_577_836_800
"""2020-01-01. The number of a recovery is the seconds since then, which leaves 40 bits below it for offsets."""


@dataclass(slots=True)
class JoinPartition:
    """State of one source partition: its join, its read offsets and its saved deltas.

    `whole`: False if saved deltas could not be reached, so that some were lost. `rebuilt_at`: a partition that is built
    again from the log is published from these offsets on, when it has as much as was published before.
    """

    state: JoinState
    chain: DeltaChain
    progress: JoinProgress = field(default_factory=JoinProgress)
    offsets: list[int] = field(default_factory=lambda: [0, 0])
    saved_at: float = 0.0
    limits: list[DeadLetterLimit] = field(default_factory=list)
    whole: bool = True
    rebuilt_at: Offsets | None = None

    def revision(self) -> int:
        """Return the revision of what is published now. It is higher than every revision before the last recovery."""
        return (self.chain.epoch << 40) + sum(self.offsets)

    @property
    def unsaved(self) -> int:
        """Return the number of records read since the last checkpoint."""
        return sum(self.offsets) - sum(self.chain.saved)

    def unreadable(self) -> Recent:
        """Return the offsets that could not be read lately."""
        return self.limits[0].recent, self.limits[1].recent


def recover(
    store: JoinStore,
    partition: int,
    rows: Iterable[tuple[str, bytes]],
    watched: Sequence[CompiledModel],
    watch: Callable[[str, str], object],
    *,
    settled: bool = True,
) -> JoinPartition:
    """Recover a partition from the chain of its deltas. Records beyond the reachable deltas are read anew.

    Another worker's last delta can arrive after the partition has gone on without it. Such an orphan is left out. It is
    dropped with the next checkpoint, before it could be taken for the first of the chain.

    `rows`: the entries of the store when the recovery began. `watch` compiles a model version into `watched`. Unless
    `settled` is False, panes that nothing can change any more are left out.
    """
    saved = saved_chain(partition, rows)
    valid = _not_late(saved.deltas, saved.owners.values())
    chain = DeltaChain(store, partition)
    source = JoinPartition(JoinState(watched), chain)
    begins = {delta.from_offsets: key for key, delta in valid.items()}
    ends = {delta.to_offsets for delta in valid.values()}
    at = min((begin for begin in begins if begin not in ends), default=None)
    if at is not None and (at[0] > saved.front[0] or at[1] > saved.front[1]):
        at, source.whole = None, False  # the first deltas are missing, and no checkpoint dropped them
    while at is not None and at in begins:
        delta = saved.deltas[begins[at]]
        for model, version, _ in delta.models:
            watch(model, version)
        join_delta.restore(source.state, delta)
        chain.keys.append(begins[at])
        at = delta.to_offsets
        if settled and len(chain.keys) % SETTLED_EVERY == 0:
            expiry.settle(source.state)
    source.whole = source.whole and len(chain.keys) == len(valid)
    chain.orphans = [*(saved.deltas.keys() - set(chain.keys)), *saved.owners]
    epochs = [delta.epoch for delta in saved.deltas.values()] + [epoch for epoch, _ in saved.owners.values()]
    chain.epoch = max(epochs, default=0)
    if at is not None:
        source.offsets, chain.saved = list(at), at
    expiry.sweep_again(source.state)
    if settled:
        source.state.settled.clear()  # a re-keyed row may have begun a pane anew that was left out before
        expiry.settle(source.state)
    chain.swept = {model: tally.swept for model, tally in source.state.tallies.items()}
    source.progress.held = EventTimeGate(source.state.event_times)
    chain.ordinal = source.state.rows.next_ordinal
    return source


def rebuilt_at(partition: int, source: JoinPartition, logs: Sequence[Log], marked: Offsets | None) -> Offsets | None:
    """Return the offsets from which a partition is published whose saved state is missing, at least in part.

    None: the partition is published at once. It is built again from `logs`, and nothing is published while it has less
    than before. `marked`: an earlier decision that still applies. Raises StateLost where the log no longer has the
    missing records.
    """
    read = max(log_.committed for log_ in logs) > 0
    if source.whole and (source.chain.keys or not read):
        return marked
    for topic, log_, at in zip((PREDICTIONS, FEEDBACK), logs, source.offsets, strict=True):
        if log_.begin > at:
            raise StateLost(
                f"the saved state of partition {partition} is gone from the changelog (deleted, or truncated), and "
                f"{topic.name} no longer has the records from {at} to {log_.begin - 1} to build it "
                f"again: restore the changelog topic, or take another DRIFTLINE_GROUP and DRIFTLINE_PREFIX"
            )
    found = (logs[0].end, logs[1].end)
    log.warning(
        "partition %d: saved state is gone from the changelog; it is built again from %s, and published from %s on",
        partition, source.offsets, found,
    )  # fmt: skip
    return found


def _not_late(found: Mapping[str, JoinDelta], known: Iterable[tuple[int, Offsets]]) -> dict[str, JoinDelta]:
    """Return the deltas that do not reach beyond the begin of a later owner of the partition.

    The later owner's events for the same records have a higher revision, so its counts are used. `known`: each owner's
    epoch, and the offsets at which it began.
    """
    began = sorted([*((delta.epoch, delta.from_offsets) for delta in found.values()), *known], reverse=True)
    limits: dict[int, Offsets] = {}
    least = (1 << 62, 1 << 62)
    for epoch, (predictions, feedback) in began:
        if epoch not in limits:
            limits[epoch] = least
        least = (min(least[0], predictions), min(least[1], feedback))
    return {
        key: delta
        for key, delta in found.items()
        if delta.to_offsets[0] <= limits[delta.epoch][0] and delta.to_offsets[1] <= limits[delta.epoch][1]
    }
