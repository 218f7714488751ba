"""Retries of work on the database, while the database is locked, full or unreachable."""

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
"""Errors of a row that the database will never accept. All other errors may be temporary."""
PASSING = (DBAPIError, PoolTimeout, OSError)


class Stopped(Exception):
    """Raised when the work is to end while the database is unavailable."""


async def until_done(
    history: History,
    work: Callable[[], T],
    stopping: asyncio.Event,
    waits: Callable[[str | None], None] = lambda _: None,
) -> T:
    """Run `work` in a thread until it succeeds; return its result.

    Raises the errors in OWN_FAULT, and Stopped once `stopping` is set. `waits` is called with the reason after each
    failure, and with None once the work has ended.
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
    """Return the error in one line, without any value."""
    return words_of(error) if isinstance(error, DBAPIError) else str(error) or type(error).__name__


def _again(history: History, work: Callable[[], T]) -> Callable[[], T]:
    def attempt() -> T:
        history.prepare()  # the database may be empty after an outage
        return work()

    return attempt
