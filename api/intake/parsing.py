"""Large bodies are decoded beside the event loop, so that other callers are served meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LARGE = 256 << 10
"""Bytes from which on a body is decoded in a thread: some milliseconds."""


async def parsed(size: int, decode: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """Return what `decode` makes of a body of `size` bytes. Raises what it raises."""
    if size < LARGE:
        return decode(*args, **more)
    return await asyncio.to_thread(decode, *args, **more)
