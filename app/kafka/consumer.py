"""The consumer of all that reads Kafka beside Faust."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.parsed_fetch import FetchResults


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's consumer, which raises Unreadable for what cannot be read. Make it with `consumer_options`."""

    async def start(self) -> None:
        """Connect. Raises KafkaError."""
        await super().start()
        results = FetchResults()
        for tp, result in self._fetcher._records.items():  # what came before there was anyone to ask for it
            results[tp] = result
        self._fetcher._records = results

    def reached(self, tp: TopicPartition) -> int | None:
        """The next offset that a partition is read from, behind what has no record; None where it is not known."""
        return reached(self, tp)


def end_of(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """Where what can be read of a partition ends, as of a consumer's last fetch; None before there was one.

    Raises AssertionError where the partition is not the consumer's.
    """
    stable: int | None = consumer.last_stable_offset(tp)
    end: int | None = consumer.highwater(tp)
    committed = consumer._isolation_level == "read_committed" and stable is not None and stable >= 0
    return stable if committed else end


def reached(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """The next offset that a consumer reads a partition from; None where that is not known, or it has no such one.

    aiokafka's own `position` waits until it is known.
    """
    subscription = consumer._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    if assignment is None or tp not in assignment.tps:
        return None
    found: int | None = assignment.state_value(tp)._position
    return found
