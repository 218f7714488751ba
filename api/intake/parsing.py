"""Decoding of large bodies in a thread, so that the event loop serves other callers meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LARGE = 256 << 10
"""Bytes from which a body is decoded in a thread; smaller bodies take some milliseconds at most."""


async def parsed(size: int, decode: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """Return the result of `decode` for a body of `size` bytes. Raises the exceptions of `decode`."""
    if size < LARGE:
        return decode(*args, **more)
    return await asyncio.to_thread(decode, *args, **more)
