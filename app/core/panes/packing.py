"""Arrays packed into few bytes: the narrowest integers, steps instead of positions, bytes grouped by their place.

The result compresses well: the first bytes of all values, then all the second ones, and so on, as in Blosc's shuffle
(Alted 2010), since neighbours among the high bytes are mostly alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LIMITS = {kind: (int(np.iinfo(kind).min), int(np.iinfo(kind).max)) for kind in ("i1", "i2", "i4", "i8")}

_KIND_OF = {width: b"i%d" % width for width in (1, 2, 4, 8)}


def pack(values: NDArray[Any]) -> bytes:
    """Return numbers as bytes: integers in the narrowest width, floats unchanged. `unpack` reads them back."""
    kind = _narrowest(values) if values.dtype.kind in "iu" else f"f{values.dtype.itemsize}"
    raw = np.ascontiguousarray(values, f"<{kind}").view(np.uint8).reshape(len(values), int(kind[1]))
    return kind.encode() + raw.T.tobytes()


def unpack(packed: bytes) -> NDArray[Any]:
    """Return the numbers that were packed, in their packed width."""
    kind = packed[:2].decode()
    planes = np.frombuffer(packed, np.uint8)[2:].reshape(int(kind[1]), -1)
    return np.ascontiguousarray(planes.T).view(f"<{kind}").ravel()


def pack_each(values: NDArray[Any], lengths: NDArray[np.int64]) -> list[bytes]:
    """Return the result of `pack` for each part of concatenated integers; `lengths`: how many are in each part."""
    ends = np.cumsum(lengths)
    widths = widths_of(values, lengths)
    planes = {
        width: [plane.tobytes() for plane in values.astype(f"<i{width}").view(np.uint8).reshape(-1, width).T]
        for width in set(widths)
    }
    return [
        _KIND_OF[width] + b"".join([plane[start:end] for plane in planes[width]])
        for width, start, end in zip(widths, (ends - lengths).tolist(), ends.tolist(), strict=True)
    ]


def unpack_each(packed: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the integers that `pack_each` packed, one part after another, and how many are in each."""
    widths = np.frombuffer(b"".join([one[1:2] for one in packed]), np.uint8) - ord("0")
    lengths = (np.fromiter(map(len, packed), np.int64, len(packed)) - 2) // widths
    starts = np.cumsum(lengths) - lengths
    found = np.empty(int(lengths.sum()), np.int64)
    narrow_ones = np.flatnonzero(widths == 1)
    bytes_ = np.frombuffer(b"".join([packed[i][2:] for i in narrow_ones.tolist()]), np.int8)
    if len(narrow_ones) == len(packed):
        return bytes_.astype(np.int64), lengths
    found[np.repeat(widths == 1, lengths)] = bytes_
    for i in np.flatnonzero(widths > 1).tolist():
        found[starts[i] : starts[i] + lengths[i]] = unpack(packed[i])
    return found, lengths


def ascending_of(steps: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the integers whose steps `steps_of` returned."""
    ends = np.cumsum(steps)
    used = lengths[lengths > 0]
    starts = np.cumsum(used) - used
    found: NDArray[np.int64] = ends - np.repeat(ends[starts] - steps[starts], used)
    return found


def steps_of(ascending: NDArray[Any], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the steps between ascending integers; each part starts again from 0. `lengths`: the sizes of the parts."""
    steps = np.empty(len(ascending), np.int64)
    steps[:1] = ascending[:1]
    np.subtract(ascending[1:], ascending[:-1], out=steps[1:])
    starts = (np.cumsum(lengths) - lengths)[lengths > 0]
    steps[starts] = ascending[starts]
    return steps


def widths_of(values: NDArray[Any], lengths: NDArray[np.int64]) -> list[int]:
    """Return the bytes of the narrowest signed type that holds each part. `lengths`: the sizes of the parts."""
    found = np.ones(len(lengths), np.int64)
    used = np.flatnonzero(lengths)
    if len(used):
        starts = (np.cumsum(lengths) - lengths)[used]
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        for width, (least, most) in ((2, _LIMITS["i1"]), (4, _LIMITS["i2"]), (8, _LIMITS["i4"])):
            found[used[(low < least) | (high > most)]] = width
    widths: list[int] = found.tolist()
    return widths


def narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Return the same integers in the narrowest signed type that holds all of them."""
    return values.astype(_narrowest(values))


def _narrowest(values: NDArray[Any]) -> str:
    if not len(values):
        return "i1"
    low, high = int(values.min()), int(values.max())
    return next(kind for kind, (least, most) in _LIMITS.items() if least <= low and high <= most)
