"""Log of the progress of a recovery: a worker that reads its changelogs logs nothing otherwise."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

EVERY_SECONDS = 2.0

Offsets = Mapping[Any, int | None]
"""Offsets by changelog partition; None or negative where there is none."""


class Recovered:
    """Counts of the changelog records read, and of those that existed when the recovery began."""

    def __init__(self) -> None:
        self._from: dict[Any, int] = {}

    def told(self, offsets: Offsets, highwaters: Offsets) -> tuple[int, int]:
        """Return the records read and the records in all. Offsets are those of the last records, as in Faust."""
        done = wanted = 0
        for partition, last in highwaters.items():
            at = offsets.get(partition)
            if last is None or last < 0 or at is None:
                continue
            start = self._from.setdefault(partition, max(at, -1))
            wanted += max(last - start, 0)
            done += min(max(at - start, 0), max(last - start, 0))
        return done, wanted


@dataclass(slots=True)
class RecoveryProgress:
    """Progress of the recovery under way, in changelog records; both 0 without a recovery."""

    read: int = 0
    records: int = 0


async def tell_recovery(app: Any, progress: RecoveryProgress, every: float = EVERY_SECONDS) -> None:
    """Note and log the progress of each of a Faust app's recoveries, until cancelled.

    A recovery with nothing to read is not logged.
    """
    while True:
        while not app.tables.recovery.in_recovery:  # noqa: ASYNC110 - Faust has no event for it
            await asyncio.sleep(every / 20)
        await _one(app.tables.recovery, progress, every)


async def _one(recovery: Any, progress: RecoveryProgress, every: float) -> None:
    seen, began, told_at, wanted = Recovered(), time.monotonic(), 0.0, 0
    while recovery.in_recovery:
        done, wanted = seen.told(recovery.active_offsets, recovery.active_highwaters)
        progress.read, progress.records = done, wanted
        if wanted and time.monotonic() - told_at >= every:
            told_at = time.monotonic()
            log.info("recovering: %d of %d changelog records (%d %%)", done, wanted, 100 * done // wanted)
        await asyncio.sleep(every / 20)
    progress.read = progress.records = 0
    if wanted:
        log.info("recovering: %d changelog records read in %.1f s", wanted, time.monotonic() - began)
