"""What can be wrong with the ground: each error is one line that says what to do."""

from __future__ import annotations


class BrokerError(Exception):
    """Kafka can be neither found nor started."""


class TopicError(Exception):
    """A topic is not as it is declared, or cannot be created."""


class BrokerUnavailable(BrokerError):
    """Kafka does not answer, or has not acknowledged in time. What was sent may still have arrived."""


class Held(Exception):
    """Somebody has to decide before the worker may go on: it stops, and is not started again by itself."""


class StateLost(Exception):
    """Saved state is gone that cannot be built again: what would be counted from now on would be too little."""
