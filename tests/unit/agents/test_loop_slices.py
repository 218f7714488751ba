"""Work in slices: what comes of it is the same, and others run in between."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator

import pytest

from agents.loop_slices import at_once, in_slices, in_thread


def work(steps: int) -> Generator[None, None, int]:
    total = 0
    for step in range(steps):
        total += step
        yield
    return total


async def test_others_run_between_the_steps() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    assert await in_slices(work(100), seconds=0.0) == sum(range(100)) == at_once(work(100))
    beside.cancel()
    assert turns >= 100
    assert await in_slices(work(0)) == 0 == at_once(work(0))


async def test_an_error_is_raised_where_the_work_is_awaited() -> None:
    def failing() -> Generator[None, None, None]:
        yield
        raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"):
        await in_slices(failing())
    with pytest.raises(ValueError, match="lost"):
        at_once(failing())


async def test_the_loop_goes_on_while_a_thread_works() -> None:
    goes_on = threading.Event()
    asyncio.get_running_loop().call_soon(goes_on.set)
    assert await in_thread(lambda: goes_on.wait(30)), "the loop has not got its turn"


def test_without_a_loop_it_is_done_at_once() -> None:
    with pytest.raises(StopIteration, match="7"):
        in_thread(lambda: 7).send(None)
