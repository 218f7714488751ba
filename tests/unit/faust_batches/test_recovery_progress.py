"""A recovery tells how far it is: of what there was to read, in records."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

import pytest

from app.faust_batches.recovery_progress import Recovered, RecoveryProgress, tell_recovery


def test_what_is_read_is_told_of_what_there_was_when_it_began() -> None:
    seen = Recovered()
    ends: dict[str, int | None] = {"a": 99, "b": 49, "empty": -1, "unknown": None}
    assert seen.told({"a": -1, "b": 9, "empty": -1}, ends) == (0, 140)  # of b, 10 records are compacted away
    assert seen.told({"a": 49, "b": 9, "empty": -1}, ends) == (50, 140)
    assert seen.told({"a": 120, "b": 49, "empty": -1}, ends) == (140, 140)


def test_nothing_to_read_is_nothing() -> None:
    assert Recovered().told({}, {}) == (0, 0)


async def test_progress_is_logged_until_all_is_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "app.faust_batches.recovery_progress")
    recovery = SimpleNamespace(in_recovery=True, active_offsets={"a": -1}, active_highwaters={"a": 99})
    progress = RecoveryProgress()
    app = SimpleNamespace(tables=SimpleNamespace(recovery=recovery))
    told = asyncio.create_task(tell_recovery(app, progress, every=0.01))
    steps = [(-1, "recovering: 0 of 100"), (24, "recovering: 25 of 100 changelog records (25 %)"), (74, "75 of 100")]
    async with asyncio.timeout(10):
        for at, words in steps:
            recovery.active_offsets["a"] = at
            await logged(caplog, words)
            assert (progress.read, progress.records) == (at + 1, 100)
        recovery.in_recovery = False
        await logged(caplog, "recovering: 100 changelog records read in")
    assert progress == RecoveryProgress()
    told.cancel()


async def logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    while words not in caplog.text:  # noqa: ASYNC110 - a log tells nobody
        await asyncio.sleep(0)
