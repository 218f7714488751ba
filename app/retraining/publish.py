"""A signal on its way into Kafka, where it is not too soon after the last."""

from __future__ import annotations

import msgspec

from app.kafka.producer import Producer
from app.retraining.signals_table import SignalsTable
from topics.events import RetrainingEvent
from topics.registry import RETRAINING


async def publish(producer: Producer, signals: SignalsTable, signal: RetrainingEvent, debounce: float) -> bool:
    """Whether it was sent; else the last of its model version is newer than `debounce` seconds, or is this one.

    Returns when the view knows it. Raises BrokerUnavailable.
    """
    await signals.catch_up()
    if signals.debounced(signal, debounce):
        return False
    key = f"{signal.model}/{signal.model_version}".encode()
    await producer.send(RETRAINING, key, msgspec.json.encode(signal))
    await signals.catch_up()
    return True
