"""Wait for a condition, or for an answer by HTTP."""

from __future__ import annotations

import asyncio
import time

import httpx


async def until(holds: object, seconds: float) -> bool:
    """Whether it comes to hold within the time."""
    deadline = time.monotonic() + seconds
    assert callable(holds)
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True


async def answers(url: str, status: int, seconds: float = 60.0, until: str = "") -> httpx.Response:
    """The first answer with that status, and with that in it."""
    async with asyncio.timeout(seconds), httpx.AsyncClient(trust_env=False) as client:
        while True:
            try:
                answer = await client.get(url)
            except httpx.TransportError:
                pass
            else:
                if answer.status_code == status and until in answer.text:
                    return answer
            await asyncio.sleep(0.05)
