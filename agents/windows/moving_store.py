"""Table entries of the hours from which a moving reference is made: a head that lists them, and a value for each."""

from __future__ import annotations

from collections.abc import MutableMapping

import msgspec
import numpy as np

from app.core.panes.packing import pack, unpack
from app.core.panes.pane import Pane
from app.core.windows.model_windows import ModelWindows
from app.core.windows.moving_reference import hours_needed

PREFIX = "@moving "
"""Prefix of these keys in the table: model, version and profile follow; for an hour's value, the hour since 1970."""

Key = tuple[str, str, str]


class SavedHour(msgspec.Struct, frozen=True, array_like=True):
    """Sum of an hour's panes. `until`: the end of the newest one, in microseconds. Arrays are packed."""

    until: int
    n: int
    indices: bytes
    counts: bytes
    sums: bytes


_heads = msgspec.msgpack.Decoder(tuple[int, ...])
_hours = msgspec.msgpack.Decoder(SavedHour)
_pack = msgspec.msgpack.Encoder().encode


def save(table: MutableMapping[str, bytes], key: Key, windows: ModelWindows) -> None:
    """Write the hours that have changed since the last save, and delete those that no reference needs any more.

    To be called before the panes in them are deleted. Hours are written before the head that lists them, and deleted
    after it.
    """
    sums = windows.moving.sums
    setting = windows.monitoring.reference
    if setting is None:
        sums.clear()
    elif sums.hours:
        sums.drop_before(max(sums.hours) - hours_needed(setting))
    if not sums.unsaved:
        return
    for hour in sorted(sums.unsaved & sums.hours.keys()):
        until, total = sums.hours[hour]
        packed = SavedHour(until, total.n, pack(total.indices), pack(total.counts), pack(total.sums))
        table[_name(key, hour)] = _pack(packed)
    head = _pack(sorted(sums.hours))
    if head != table.get(_head(key)):
        table[_head(key)] = head
    for hour in sorted(sums.unsaved - sums.hours.keys()):
        if _name(key, hour) in table:
            del table[_name(key, hour)]
    sums.unsaved.clear()


def restore(table: MutableMapping[str, bytes], key: Key, windows: ModelWindows) -> None:
    """Restore the hours from the table."""
    head = table.get(_head(key))
    for hour in _heads.decode(head) if head else ():
        packed = table.get(_name(key, hour))
        if not packed:
            continue
        found = _hours.decode(packed)
        total = Pane(
            found.n, unpack(found.indices).astype(np.int32), unpack(found.counts).astype(np.int64),
            unpack(found.sums).astype(np.int64),
        )  # fmt: skip
        windows.moving.sums.load(hour, found.until, total)


def _head(key: Key) -> str:
    return PREFIX + "/".join(key)


def _name(key: Key, hour: int) -> str:
    return f"{_head(key)}/{hour}"
