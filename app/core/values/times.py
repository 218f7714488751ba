"""Which times are believed, at every door alike: what one takes, every reader can read."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import NDArray

EARLIEST, LATEST = 0.0, 4_102_444_800.0
"""Timestamps from 1970 until before 2100, in seconds since the epoch."""
_LATEST_READ = LATEST - 1e-6
"""Readers round to microseconds: what is later than this would be 2100."""


@overload
def believable(seconds: float) -> bool: ...
@overload
def believable(seconds: NDArray[np.float64]) -> NDArray[np.bool_]: ...
def believable(seconds: float | NDArray[np.float64]) -> bool | NDArray[np.bool_]:
    """Return which times are believed: others were sent in another unit, say. NaN is not."""
    if isinstance(seconds, float):
        return EARLIEST <= seconds <= _LATEST_READ
    sound: NDArray[np.bool_] = (seconds >= EARLIEST) & (seconds <= _LATEST_READ)
    return sound
