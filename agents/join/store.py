"""Keys and values of the join's table, for each source partition."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass

import msgspec

from app.core.join.delta import JoinDelta
from app.kafka.errors import StateLost

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 1
"""Compression level of zstd: higher levels take more time than they save."""

Offsets = tuple[int, int]
"""Offsets to read next, of predictions and of feedback."""

Recent = tuple[tuple[int, ...], tuple[int, ...]]
"""Offsets of predictions and of feedback that could not be read, as far back as the limit needs."""

Reported = set[tuple[int, str, str]]
"""Source topics (by their numbers) and model versions that were reported as not counted as a whole."""

_deltas = msgspec.msgpack.Decoder(JoinDelta)
_offsets = msgspec.msgpack.Decoder(Offsets)
_owners = msgspec.msgpack.Decoder(tuple[int, Offsets])
_recents = msgspec.msgpack.Decoder(Recent)
_halts = msgspec.msgpack.Decoder(tuple[int, int])
_reported = msgspec.msgpack.Decoder(Reported)
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class SavedChain:
    """Saved deltas of a partition, by their keys in the table.

    `front`: the offsets at which the first one has to begin.

    `owners`: the owners of the partition, each with its epoch and the offsets at which it began.
    """

    deltas: Mapping[str, JoinDelta]
    owners: Mapping[str, tuple[int, Offsets]]
    front: Offsets


class JoinStore:
    """Table of the join. The keys for each source partition `p`:

    * `p/begin-begin/epoch`: a delta, by the offsets at which it begins and the epoch of its owner
    * `owner/p/epoch`: the owner of the partition, and the offsets at which it began
    * `front/p`: the offsets at which the first delta begins, if others were dropped before it
    * `rebuilt/p`: the offsets from which on it is published, while it is built again
    * `unreadable/p`: the offsets that could not be read lately
    * `stopped/p/topic`: the record at which it was halted by too many dead letters
    * `intake/p`: the model versions that were reported as not counted as a whole
    """

    def __init__(self, table: MutableMapping[str, bytes]) -> None:
        self._table = table

    def rows(self) -> list[tuple[str, bytes]]:
        """Return a copy of all entries, for a recovery outside the event loop."""
        return list(self._table.items())

    # Deltas

    def add_delta(self, partition: int, begin: Offsets, delta: JoinDelta) -> str:
        """Write a delta that begins at the offsets `begin`. Return its key."""
        key = f"{partition}/{begin[0]}-{begin[1]}/{delta.epoch}"
        self._table[key] = encode_delta(delta)
        return key

    def delta(self, key: str) -> JoinDelta:
        """Return a delta. Raises StateLost where the delta cannot be read."""
        return decode_delta(self._table[key])

    def add_owner(self, partition: int, epoch: int, begin: Offsets) -> None:
        """Write the owner of a partition from the offsets `begin` on."""
        self._table[f"owner/{partition}/{epoch}"] = _encode((epoch, begin))

    def set_front(self, partition: int, begin: Offsets) -> None:
        """Write the offsets at which the first delta begins now."""
        self._table[f"front/{partition}"] = _encode(begin)

    def remove(self, key: str) -> None:
        """Delete a delta, or an owner."""
        self._table.pop(key, None)

    # A partition that is built again

    def rebuilding(self, partition: int) -> Offsets | None:
        """Return the offsets from which on a rebuilt partition is published; None where it is not being rebuilt."""
        found = self._table.get(f"rebuilt/{partition}")
        return _offsets.decode(found) if found else None

    def set_rebuilding(self, partition: int, until: Offsets) -> None:
        """Write the offsets from which on a rebuilt partition is published."""
        self._table[f"rebuilt/{partition}"] = _encode(until)

    def end_rebuilding(self, partition: int) -> None:
        """Note that a rebuilt partition is published again."""
        self._table.pop(f"rebuilt/{partition}", None)

    # Records that are not counted

    def unreadable(self, partition: int) -> Recent:
        """Return the offsets that could not be read lately."""
        found = self._table.get(f"unreadable/{partition}")
        return _recents.decode(found) if found else ((), ())

    def set_unreadable(self, partition: int, offsets: Recent) -> None:
        """Write the offsets that could not be read lately."""
        self._table[f"unreadable/{partition}"] = _encode(offsets)

    def halt(self, partition: int, topic: int) -> tuple[int, int] | None:
        """Return the offset at which a partition was halted, and when that record came, in milliseconds."""
        found = self._table.get(f"stopped/{partition}/{topic}")
        return _halts.decode(found) if found else None

    def set_halt(self, partition: int, topic: int, offset: int, recorded: int) -> None:
        """Write the offset at which a partition was halted, and when that record came, in milliseconds."""
        self._table[f"stopped/{partition}/{topic}"] = _encode((offset, recorded))

    def remove_halt(self, partition: int, topic: int) -> None:
        """Delete the halt of a partition that goes on."""
        self._table.pop(f"stopped/{partition}/{topic}", None)

    def reported(self, partition: int) -> Reported:
        """Return the model versions that were reported as not counted as a whole."""
        found = self._table.get(_reported_key(partition))
        return set() if found is None else _reported.decode(found)

    def set_reported(self, partition: int, versions: Reported) -> None:
        """Write the model versions that were reported as not counted as a whole."""
        key, value = reported_entry(partition, versions)
        self._table[key] = value


def saved_chain(partition: int, rows: Iterable[tuple[str, bytes]]) -> SavedChain:
    """Return the deltas and owners of a partition from the table's rows. Raises StateLost where one cannot be read."""
    mine, owned, front = f"{partition}/", f"owner/{partition}/", f"front/{partition}"
    deltas: dict[str, JoinDelta] = {}
    owners: dict[str, tuple[int, Offsets]] = {}
    begin = (0, 0)
    for key, value in rows:
        if not value:
            continue
        if key.startswith(mine):
            deltas[key] = decode_delta(value)
        elif key.startswith(owned):
            owners[key] = _owners.decode(value)
        elif key == front:
            begin = _offsets.decode(value)
    return SavedChain(deltas, owners, begin)


def reported_in(rows: Iterable[tuple[str, bytes]]) -> Reported:
    """Return the model versions that any partition has reported as not counted as a whole."""
    found: Reported = set()
    for key, value in rows:
        if key.startswith(_REPORTED):
            found |= _reported.decode(value)
    return found


def reported_entry(partition: int, versions: Reported) -> tuple[str, bytes]:
    """Return the key and value that note the reported model versions of a partition."""
    return _reported_key(partition), _encode(sorted(versions))


def encode_delta(delta: JoinDelta) -> bytes:
    """Return a delta in its saved form."""
    return zstd.compress(_encode(delta), LEVEL)


def decode_delta(saved: bytes) -> JoinDelta:
    """Return a saved delta. Raises StateLost where another release has written it in another form."""
    try:
        return _deltas.decode(zstd.decompress(saved))
    except (zstd.ZstdError, msgspec.DecodeError) as error:
        raise StateLost(
            f"the saved state in the changelog cannot be read ({error}): another release of Driftline wrote it, or it "
            f"is damaged; take another DRIFTLINE_GROUP and DRIFTLINE_PREFIX, and replay"
        ) from error


_REPORTED = "intake/"


def _reported_key(partition: int) -> str:
    return f"{_REPORTED}{partition}"
