"""Infrastructure errors. Each message is one line that says what to do."""

from __future__ import annotations

import re
import traceback

_QUOTED = re.compile(r"'[^']*'")

WORDS_KNOWN = ("app", "agents", "api", "topics", "aiokafka")
"""Packages whose messages are written for a log; those of others may contain a feature's value."""


class BrokerError(Exception):
    """Kafka can be neither found nor started."""


class TopicError(Exception):
    """A topic differs from its declaration, or cannot be created."""


class BrokerUnavailable(BrokerError):
    """Kafka does not respond, or has not acknowledged in time. The records may still have arrived."""


class WorkerHalted(Exception):
    """Somebody has to decide before the worker may go on: it stops, and is not restarted automatically."""


class StateLost(Exception):
    """Saved state is missing that cannot be built again: all further counts would be too low."""


class Unreadable(Exception):
    """A batch of a log cannot be read: it is damaged, or packed in an unknown way."""

    def __init__(self, topic: str, partition: int, offset: int, end: int, why: str, remedy: str | None = None) -> None:
        """Create the error. `offset`: the first offset that cannot be read; `end`: the first offset after the batch."""
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
    """Return why a record cannot be read: the field and what is wrong with it, without a value."""
    home = type(error).__module__.partition(".")[0]
    return _QUOTED.sub("…", str(error)) if home == "msgspec" else type(error).__name__


class Ended(Exception):
    """A task that is to run for ever has ended."""

    def __str__(self) -> str:
        return "it ended by itself, and is not meant to"


class WasCancelled(Exception):
    """A task was cancelled from within, though nothing stops the worker."""

    def __str__(self) -> str:
        return "it was cancelled, though nothing stops the worker"


def without_values(error: BaseException) -> str:
    """Return an error's kind and place, with its message only where that contains no value."""
    kind = type(error)
    known = kind.__module__.partition(".")[0] in WORDS_KNOWN or isinstance(error, OSError)
    frames = traceback.extract_tb(error.__traceback__)
    at = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames))
    return f"{kind.__name__}{f': {error}' if known else ''} at {at}"
