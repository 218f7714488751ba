"""Partitions of keys, for many keys at once: the same as every Kafka client's default."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

_SEED = 0x9747B28C
_M = np.uint32(0x5BD1E995)


def partitions_of(keys: Sequence[bytes], partitions: int) -> NDArray[np.int64]:
    """Return the partition of each key: murmur2 as in Kafka's Java client (`Utils.murmur2`), positive, modulo."""
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    if len(keys) and (lengths == lengths[0]).all():
        raw = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), int(lengths[0]))
        return (_murmur2(raw) & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions
    found = np.empty(len(keys), np.int64)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        raw = np.frombuffer(b"".join([keys[i] for i in rows.tolist()]), np.uint8).reshape(len(rows), length)
        found[rows] = (_murmur2(raw) & np.uint32(0x7FFFFFFF)) % partitions
    return found


def partition_of(model: str, version: str, partitions: int) -> int:
    """Return the partition of `panes`, `reports` and `alerts` for a model version."""
    return crc32(f"{model}/{version}".encode()) % partitions


def _murmur2(raw: NDArray[np.uint8]) -> Words:
    """Return the hash of each row of n x length bytes."""
    n, length = raw.shape
    whole = length // 4 * 4
    words = np.ascontiguousarray(raw[:, :whole]).view("<u4")
    hashed = np.full(n, _SEED ^ length, np.uint32)
    for i in range(whole // 4):
        k = words[:, i] * _M
        k = (k ^ (k >> np.uint32(24))) * _M
        hashed = hashed * _M ^ k
    if whole < length:
        for i in range(whole, length):
            hashed = hashed ^ (raw[:, i].astype(np.uint32) << np.uint32(8 * (i - whole)))
        hashed = hashed * _M
    hashed = (hashed ^ (hashed >> np.uint32(13))) * _M
    return hashed ^ (hashed >> np.uint32(15))
