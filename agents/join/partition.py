"""One source partition of the join: what is held of it, and how it is built again from its saved deltas."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from app.core.join import delta as join_delta
from app.core.join import expiry
from app.core.join.delta import JoinDelta
from app.core.join.event_time_gate import EventTimeGate
from app.core.join.state import MICROSECONDS, NEVER, CompiledModel, JoinState, Tally
from app.faust_batches.batch import Log
from app.ingest.dead_letter_limit import DeadLetterLimit
from app.kafka.errors import StateLost
from topics.compression import zstd
from topics.registry import FEEDBACK, PREDICTIONS

log = logging.getLogger(__name__)

SETTLED_EVERY = 100
"""Deltas after which a recovery forgets the panes that nothing can reach any more: a retention has many."""
LEVEL = 1
"""Of zstd: higher ones take more time than they save."""

EPOCHS_SINCE = 1_577_836_800
"""2020-01-01: a recovery is numbered by the seconds since, which leaves 40 bits below it for offsets."""

AHEAD_SECONDS = 300.0
"""By how much the broker's clock may be ahead of this machine's."""

Offsets = tuple[int, int]
"""The next to read of predictions and of feedback."""

Recent = tuple[tuple[int, ...], tuple[int, ...]]
"""Offsets of predictions and of feedback that could not be read, as far back as they matter for the limit."""

recents = msgspec.msgpack.Decoder(Recent)
_deltas = msgspec.msgpack.Decoder(JoinDelta)
offsets_ = msgspec.msgpack.Decoder(Offsets)
owners = msgspec.msgpack.Decoder(tuple[int, Offsets])

_encoder = msgspec.msgpack.Encoder()


def encode_delta(delta: JoinDelta) -> bytes:
    """A delta as it is saved."""
    return zstd.compress(_encoder.encode(delta), LEVEL)


def decode_delta(saved: bytes) -> JoinDelta:
    """A saved delta. Raises StateLost where another release has written it in another form."""
    try:
        return _deltas.decode(zstd.decompress(saved))
    except (zstd.ZstdError, msgspec.DecodeError) as error:
        raise StateLost(
            f"the saved state in the changelog cannot be read ({error}): another release of Driftline wrote it, or it "
            f"is damaged; take another DRIFTLINE_GROUP and DRIFTLINE_PREFIX, and replay"
        ) from error


@dataclass(slots=True)
class JoinPartition:
    """One source partition: its join, how far it has read, what of it is saved.

    Not `whole`: saved deltas were there that could not be reached, so some were lost. `rebuilt_at`: what is built
    again from the log is published from these offsets on, when it is as much as was published before. `recorded`: the
    broker's time of the newest record that was read of each topic, in microseconds.
    """

    state: JoinState
    offsets: list[int] = field(default_factory=lambda: [0, 0])
    saved: Offsets = (0, 0)
    ordinal: int = 0
    saved_at: float = 0.0
    keys: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    announced: bool = False
    swept: dict[int, int] = field(default_factory=dict)
    dropped: dict[int, int] = field(default_factory=dict)
    arrived: dict[int, float] = field(default_factory=dict)
    told: dict[int, tuple[int, bool, Tally]] = field(default_factory=dict)
    left_out: tuple[int, int] = (0, 0)
    left_out_at: float = 0.0
    caught_up: list[bool] = field(default_factory=lambda: [False, False])
    fed_at: float = 0.0
    epoch: int = 0
    limits: list[DeadLetterLimit] = field(default_factory=list)
    noted: Recent = ((), ())
    whole: bool = True
    rebuilt_at: Offsets | None = None
    held: EventTimeGate = field(default_factory=lambda: EventTimeGate({}))
    recorded: list[int] = field(default_factory=lambda: [NEVER, NEVER])

    def revision(self) -> int:
        """Of what is published now: higher than all from before the last recovery, whatever that had reached."""
        return (self.epoch << 40) + sum(self.offsets)

    def clock(self, now: float) -> int:
        """How far both topics have been read by the broker's time, in microseconds; NEVER while that is not known.

        No further than the clock of this machine (`now`, seconds since the epoch): one that is wrong must not do.
        """
        behind = [at for at, ended in zip(self.recorded, self.caught_up, strict=True) if not ended]
        return min([*(behind or [max(self.recorded)]), round((now + AHEAD_SECONDS) * MICROSECONDS)])

    @property
    def unsaved(self) -> int:
        """Records read since the last checkpoint."""
        return sum(self.offsets) - sum(self.saved)


def recover(
    partition: int,
    table: Iterable[tuple[str, bytes]],
    watched: Sequence[CompiledModel],
    watch: Callable[[str, str], object],
    *,
    settled: bool = True,
) -> JoinPartition:
    """Follow the chain of a partition's deltas from its first; what is not reachable is read anew.

    Another worker's last delta can arrive after the partition has gone on without it: such an orphan is left out,
    and dropped with the next checkpoint, before it could be taken for the first of the chain. `watch` compiles a
    model version into `watched`. Unless `settled` is False, panes that nothing can reach any more are left out.
    """
    rows = [(key, value) for key, value in table if value]
    found = {key: decode_delta(value) for key, value in rows if key.startswith(f"{partition}/")}
    known = {key: owners.decode(value) for key, value in rows if key.startswith(f"owner/{partition}/")}
    valid = _not_late(found, known.values())
    source = JoinPartition(JoinState(watched))
    begins = {delta.from_offsets: key for key, delta in valid.items()}
    ends = {delta.to_offsets for delta in valid.values()}
    at = min((begin for begin in begins if begin not in ends), default=None)
    front = offsets_.decode(kept) if (kept := dict(rows).get(f"front/{partition}")) else (0, 0)
    if at is not None and (at[0] > front[0] or at[1] > front[1]):  # the first are gone, and were not dropped by us
        at, source.whole = None, False
    while at is not None and at in begins:
        delta = found[begins[at]]
        for model, version, _ in delta.models:
            watch(model, version)
        join_delta.restore(source.state, delta)
        source.keys.append(begins[at])
        at = delta.to_offsets
        if settled and len(source.keys) % SETTLED_EVERY == 0:
            expiry.settle(source.state)
    source.whole = source.whole and len(source.keys) == len(valid)
    source.orphans = [*(found.keys() - set(source.keys)), *known]
    source.epoch = max([delta.epoch for delta in found.values()] + [epoch for epoch, _ in known.values()], default=0)
    if at is not None:
        source.offsets, source.saved = list(at), at
    expiry.sweep_again(source.state)
    if settled:
        source.state.settled.clear()  # a re-keyed row may have begun a pane anew that was left out before
        expiry.settle(source.state)
    source.swept = {model: tally.swept for model, tally in source.state.tallies.items()}
    source.held = EventTimeGate(source.state.event_times)
    source.ordinal = source.state.rows.next_ordinal
    return source


def rebuilt_at(partition: int, source: JoinPartition, logs: Sequence[Log], marked: bytes | None) -> Offsets | None:
    """From which offsets on a partition is published whose saved state is gone, in whole or in part; None: at once.

    It is built again from `logs`, silently as long as that would say less than was said before. `marked`: what was
    decided earlier, if that is not over. Raises StateLost where the log no longer has what is missing.
    """
    read = max(log_.committed for log_ in logs) > 0
    if source.whole and (source.keys or not read):
        return offsets_.decode(marked) if marked else None
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
    """The deltas that do not reach beyond where a later owner of the partition has begun.

    What that owner published of the same records has a higher revision, so its counts are the ones to go on from.
    `known`: each owner's epoch, and where it began.
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
