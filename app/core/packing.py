"""Arrays as few bytes: the narrowest integers that hold them, small steps instead of positions, bytes by their place.

What compresses best comes out: the first bytes of all values, then all the second ones, and so on, as Blosc's
shuffle has them (Alted 2010), since neighbours among the high bytes are mostly alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDTHS = ("i1", "i2", "i4", "i8")


def pack(values: NDArray[Any]) -> bytes:
    """Numbers as bytes: integers in the narrowest width, floats as they are. `unpack` reads them back."""
    kind = _narrowest(values) if values.dtype.kind in "iu" else f"f{values.dtype.itemsize}"
    raw = np.ascontiguousarray(values, f"<{kind}").view(np.uint8).reshape(len(values), int(kind[1]))
    return kind.encode() + raw.T.tobytes()


def unpack(packed: bytes) -> NDArray[Any]:
    """What was packed, in the width that it was packed in."""
    kind = packed[:2].decode()
    planes = np.frombuffer(packed, np.uint8)[2:].reshape(int(kind[1]), -1)
    return np.ascontiguousarray(planes.T).view(f"<{kind}").ravel()


def pack_ascending(values: NDArray[Any]) -> bytes:
    """Ascending integers as the steps between them."""
    return pack(np.diff(values.astype(np.int64), prepend=0))


def unpack_ascending(packed: bytes) -> NDArray[np.int64]:
    """What `pack_ascending` packed."""
    return np.cumsum(unpack(packed), dtype=np.int64)


def narrow(values: NDArray[Any]) -> NDArray[Any]:
    """The same integers in the narrowest signed type that holds all of them."""
    return values.astype(_narrowest(values))


def _narrowest(values: NDArray[Any]) -> str:
    if not len(values):
        return "i1"
    low, high = int(values.min()), int(values.max())
    return next(kind for kind in _WIDTHS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
