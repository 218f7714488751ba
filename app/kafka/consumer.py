"""Consumer for everything that reads Kafka without Faust."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.parsed_fetch import FetchResults


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's consumer, which raises Unreadable for unreadable batches. Make it with `consumer_options`."""

    async def start(self) -> None:
        """Connect. Raises KafkaError."""
        await super().start()
        results = FetchResults()
        for tp, result in self._fetcher._records.items():  # results that came before the replacement
            results[tp] = result
        self._fetcher._records = results

    def reached(self, tp: TopicPartition) -> int | None:
        """Return the next offset to read of a partition, after offsets without a record; None where it is unknown."""
        return reached(self, tp)


def end_of(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """Return the end of the readable log of a partition, as of the last fetch; None before the first fetch.

    Raises AssertionError where the partition is not the consumer's.
    """
    stable: int | None = consumer.last_stable_offset(tp)
    end: int | None = consumer.highwater(tp)
    committed = consumer._isolation_level == "read_committed" and stable is not None and stable >= 0
    return stable if committed else end


def reached(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """Return the next offset to read of a partition; None where it is unknown, or the partition is not assigned.

    aiokafka's own `position` waits until the offset is known.
    """
    subscription = consumer._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    if assignment is None or tp not in assignment.tps:
        return None
    found: int | None = assignment.state_value(tp)._position
    return found
