"""Publishing of a retraining signal, unless the last one is too recent."""

from __future__ import annotations

import msgspec

from app.kafka.producer import Producer
from app.retraining.signals_table import SignalsTable
from topics.events import RetrainingEvent
from topics.registry import RETRAINING


async def publish(producer: Producer, signals: SignalsTable, signal: RetrainingEvent, debounce: float) -> bool:
    """Publish a signal unless it is debounced; return whether it was sent.

    A signal is debounced where the last one of its model version is newer than `debounce` seconds, or is the same
    signal. Return when the signals table has the signal. Raises BrokerUnavailable.
    """
    await signals.catch_up()
    if signals.debounced(signal, debounce):
        return False
    key = f"{signal.model}/{signal.model_version}".encode()
    await producer.send(RETRAINING, key, msgspec.json.encode(signal))
    await signals.catch_up()
    return True
