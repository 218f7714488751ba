"""Work on the database, as often as it takes: one that is locked, full or away is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.history.database import History, words_of
from app.telemetry import metrics

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_SECONDS, LONGEST_SECONDS = 0.5, 30.0

OWN_FAULT = (DataError, IntegrityError, OverflowError, UnicodeEncodeError)
"""What a database says of a row that it will never take. All else may pass."""
PASSING = (DBAPIError, PoolTimeout, OSError)


class Stopped(Exception):
    """It is to end while the database does not answer."""


async def until_done(
    history: History,
    work: Callable[[], T],
    stopping: asyncio.Event,
    waits: Callable[[str | None], None] = lambda _: None,
) -> T:
    """What `work` answers in a thread, once the database lets it. Raises OWN_FAULT's; Stopped.

    `waits` is told what the database says while it does not, and None when it does.
    """
    delay, attempt = FIRST_SECONDS, work
    while True:
        try:
            found = await asyncio.to_thread(attempt)
        except OWN_FAULT:
            waits(None)
            raise
        except PASSING as error:
            metrics.RECORDER_RETRIES.inc()
            waits(reason_of(error))
            if attempt is work:
                log.warning("the history at %s waits, nothing else does: %s", history.name, reason_of(error))
            attempt = _again(history, work)
        else:
            if attempt is not work:
                log.warning("the history at %s is written again", history.name)
            waits(None)
            return found
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), delay)
            raise Stopped
        delay = min(2 * delay, LONGEST_SECONDS)


def reason_of(error: Exception) -> str:
    """What is wrong, in one line without any value."""
    return words_of(error) if isinstance(error, DBAPIError) else str(error) or type(error).__name__


def _again(history: History, work: Callable[[], T]) -> Callable[[], T]:
    def attempt() -> T:
        history.prepare()  # it may come back empty
        return work()

    return attempt
