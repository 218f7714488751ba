"""What can be wrong with the ground: each error is one line that says what to do."""

from __future__ import annotations

import re
import traceback

_QUOTED = re.compile(r"'[^']*'")

WORDS_KNOWN = ("app", "agents", "api", "topics", "aiokafka")
"""Packages whose errors are written for a log; the words of any other's may hold a feature's value."""


class BrokerError(Exception):
    """Kafka can be neither found nor started."""


class TopicError(Exception):
    """A topic is not as it is declared, or cannot be created."""


class BrokerUnavailable(BrokerError):
    """Kafka does not answer, or has not acknowledged in time. What was sent may still have arrived."""


class WorkerHalted(Exception):
    """Somebody has to decide before the worker may go on: it stops, and is not started again by itself."""


class StateLost(Exception):
    """Saved state is gone that cannot be built again: what would be counted from now on would be too little."""


class Unreadable(Exception):
    """A batch of a log that cannot be read: damaged, or packed in a way that is not known here."""

    def __init__(self, topic: str, partition: int, offset: int, end: int, why: str, remedy: str | None = None) -> None:
        """`offset`: the first that cannot be read; `end`: the first after the batch."""
        self.topic, self.partition, self.offset = topic, partition, offset
        super().__init__(
            f"{topic} partition {partition} offset {offset}: the batch up to offset {end - 1} cannot be read ({why}): "
            + (
                remedy
                or f"let a replica lead that has it whole, or delete the log before offset {end} "
                f"(kafka-delete-records.sh)"
            )
            + "; then start again"
        )


def words_of(error: BaseException) -> str:
    """Why somebody's record cannot be read: which field and what of it, but no value."""
    home = type(error).__module__.partition(".")[0]
    return _QUOTED.sub("…", str(error)) if home == "msgspec" else type(error).__name__


class Ended(Exception):
    """A task that goes on for ever has ended."""

    def __str__(self) -> str:
        return "it ended by itself, and is not meant to"


class WasCancelled(Exception):
    """A task was cancelled from within, though nothing stops the worker."""

    def __str__(self) -> str:
        return "it was cancelled, though nothing stops the worker"


def without_values(error: BaseException) -> str:
    """An error's kind and place; its words only where they hold no value."""
    kind = type(error)
    known = kind.__module__.partition(".")[0] in WORDS_KNOWN or isinstance(error, OSError)
    frames = traceback.extract_tb(error.__traceback__)
    at = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames))
    return f"{kind.__name__}{f': {error}' if known else ''} at {at}"
