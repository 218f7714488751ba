"""Times that are believed, by the same rule at every entry point: each accepted time can be read by every reader."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import NDArray

EARLIEST, LATEST = 0.0, 4_102_444_800.0
"""Bounds of timestamps, from 1970 until before 2100, in seconds since the epoch."""
_LATEST_READ = LATEST - 1e-6
"""Latest time that readers can read: they round to microseconds, and a later time would become 2100."""


@overload
def believable(seconds: float) -> bool: ...
@overload
def believable(seconds: NDArray[np.float64]) -> NDArray[np.bool_]: ...
def believable(seconds: float | NDArray[np.float64]) -> bool | NDArray[np.bool_]:
    """Return whether each time is believed; others were probably sent in another unit. NaN is not believed."""
    if isinstance(seconds, float):
        return EARLIEST <= seconds <= _LATEST_READ
    sound: NDArray[np.bool_] = (seconds >= EARLIEST) & (seconds <= _LATEST_READ)
    return sound
