"""State of a partition of inferences: the next offset and the waiting halves, saved compactly and read again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import msgspec

from agents.inferences.halves import Paired
from app.core.join.inference_pairs import Half, Pairing
from app.faust_batches.batch import Log
from app.kafka.errors import StateLost

log = logging.getLogger(__name__)


class Saved(msgspec.Struct, frozen=True, array_like=True):
    """Saved state of a partition. `applied`: all records below were taken. `first`: the offset to read again from.

    `waiting`: the offsets of the waiting halves: the first one, then each one's distance from the one before.
    """

    applied: int
    first: int
    waiting: list[int]


_decoder = msgspec.msgpack.Decoder(Saved)
_encoder = msgspec.msgpack.Encoder()


@dataclass(slots=True)
class InferencePartition:
    """State of one partition. `read`: the next offset to read. Records below `applied` were taken before.

    `waits`: offsets of halves that waited at the last save and were not read again yet; None where this is unknown.
    """

    pairing: Pairing[Paired]
    read: int
    applied: int
    waits: set[int] | None = field(default_factory=set)
    read_at: float = 0.0
    saved: bytes | None = None
    saved_at: float = 0.0

    @property
    def replaying(self) -> bool:
        """Return whether records that were taken before are still being read again."""
        return self.read < self.applied


def source_of(state: bytes | None, known: Log | None, seconds: float) -> InferencePartition:
    """Return a partition as it was saved, to be read again from its first needed offset.

    A partition that was read before and has no state is paired again from the start of the log. Its pairs are published
    only from the committed offset on. Raises StateLost where the state cannot be read.
    """
    pairing: Pairing[Paired] = Pairing(round(seconds * 1000))
    if state is None:
        if known is None or known.committed <= known.begin:
            return InferencePartition(pairing, 0, 0, saved=_encoder.encode(Saved(0, 0, [])))
        log.warning(
            "the saved state of inferences is gone from the changelog: they are paired again from offset %d, and "
            "published from %d on", known.begin, known.committed,
        )  # fmt: skip
        return InferencePartition(pairing, known.begin, known.committed, None)
    try:
        found = _decoder.decode(state)
    except msgspec.DecodeError as error:
        raise StateLost(
            f"the saved state of inferences cannot be read ({error}): another release of Driftline wrote it, or it is "
            f"damaged; take another DRIFTLINE_GROUP and DRIFTLINE_PREFIX"
        ) from error
    return InferencePartition(pairing, found.first, found.applied, set(accumulate(found.waiting)), saved=state)


def saved_of(source: InferencePartition) -> bytes:
    """Return a partition's state, encoded for the table."""
    waiting = source.pairing.waiting
    first = source.pairing.first
    distances = waiting[:1] + [after - before for before, after in pairwise(waiting)]
    return _encoder.encode(Saved(source.read, source.read if first is None else first, distances))


def read_again(source: InferencePartition, offset: int, half: Half[Paired] | None) -> bool:
    """Take a record in the same way as before. Return whether the record was taken before.

    `half`: None where the record has no half.
    """
    if offset >= source.applied:
        return False
    if half is not None and source.waits is None:
        source.pairing.over(half.at)
        source.pairing.take(half)
    elif half is not None and source.waits is not None:
        waits = offset in source.waits
        source.waits.discard(offset)
        source.pairing.replay(half, waits=waits)
    return True


def all_read_again(source: InferencePartition) -> int:
    """End the second reading. Return how many waiting halves the log no longer has."""
    source.pairing.replayed()
    lost, source.waits = source.waits or set(), set()
    if lost:
        log.error(
            "%d halves of inferences are lost: they waited for their other half longer than the topic keeps them; the "
            "first was at offset %d", len(lost), min(lost),
        )  # fmt: skip
    source.applied = 0
    return len(lost)
