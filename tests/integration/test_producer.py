"""The producer: what it says is acknowledged is in Kafka, at the partition every client would choose."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.kafka.errors import BrokerUnavailable
from app.kafka.producer import Outgoing, Producer, RecordRefused
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings, load_settings
from tests.support.kafka_topics import records_of
from topics.partition import partitions_of
from topics.registry import FEEDBACK, PREDICTIONS


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[Producer]:
    await ensure_topics(settings, [PREDICTIONS, FEEDBACK])
    async with Producer(settings) as connected:
        yield connected


async def test_what_is_acknowledged_is_there_with_key_headers_and_order(producer: Producer, settings: Settings) -> None:
    await producer.send(PREDICTIONS, b"a", b"1", headers=[("driftline", b"heartbeat")])
    await producer.send(PREDICTIONS, b"a", b"2")
    first, second = await records_of(settings, PREDICTIONS)
    assert (first.key, first.value, first.headers) == (b"a", b"1", (("driftline", b"heartbeat"),))
    assert (second.key, second.value, second.partition) == (b"a", b"2", first.partition)


async def test_many_records_land_in_the_partitions_that_every_client_chooses(
    producer: Producer, settings: Settings
) -> None:
    keys = [f"id-{i}".encode() for i in range(3000)]
    assert await producer.send_many(PREDICTIONS, [Outgoing(key, key) for key in keys]) == []
    found = {record.key: record.partition for record in await records_of(settings, PREDICTIONS)}
    assert found == dict(zip(keys, partitions_of(keys, settings.partitions).tolist(), strict=True))


async def test_a_given_partition_is_used(producer: Producer, settings: Settings) -> None:
    await producer.send_many(PREDICTIONS, [Outgoing(b"same", b"x", partition) for partition in range(4)])
    assert [record.partition for record in await records_of(settings, PREDICTIONS)] == [0, 1, 2, 3]


async def test_a_record_that_is_too_large_is_named_and_the_others_arrive(
    producer: Producer, settings: Settings
) -> None:
    large = b"x" * PREDICTIONS.max_message_bytes
    refused = await producer.send_many(PREDICTIONS, [Outgoing(b"a", b"1"), Outgoing(b"b", large), Outgoing(b"c", b"3")])
    assert [(one.position, one.reason) for one in refused] == [
        (1, "the record has 1,048,577 bytes; at most 1,047,552 are taken")
    ]
    with pytest.raises(RecordRefused, match="at most"):
        await producer.send(PREDICTIONS, b"b", large)
    await producer.send(PREDICTIONS, b"d", b"4")
    assert {record.key for record in await records_of(settings, PREDICTIONS)} == {b"a", b"c", b"d"}


async def test_the_largest_that_is_taken_arrives(producer: Producer, settings: Settings) -> None:
    value = b"x" * (PREDICTIONS.max_message_bytes - 1024 - 1)
    await producer.send(PREDICTIONS, b"a", value)
    assert [record.value for record in await records_of(settings, PREDICTIONS)] == [value]


async def test_no_broker_is_said_at_once() -> None:
    with pytest.raises(BrokerUnavailable, match=r"no Kafka answers at 127\.0\.0\.1:9"):
        async with Producer(load_settings(bootstrap_servers="127.0.0.1:9")):
            pass


async def test_an_absent_topic_is_named(settings: Settings) -> None:
    async with Producer(settings, ack_seconds=1) as producer:
        with pytest.raises(BrokerUnavailable, match=r"\.predictions does not exist on .*: start a worker"):
            await producer.send(PREDICTIONS, b"a", b"1")


async def test_what_is_sent_together_is_in_order_within_each_partition_however_many_batches_it_takes(
    producer: Producer, settings: Settings
) -> None:
    value = b"x" * 20_000  # 16 MB: tens of batches a partition
    sent = [Outgoing(f"{i % 7}".encode(), b"%d %b" % (i, value), headers=[("n", b"%d" % i)]) for i in range(800)]
    sent[5] = Outgoing(b"5", b"5 " + b"x" * (PREDICTIONS.max_message_bytes - 2048))  # larger than a batch
    assert await producer.send_many(PREDICTIONS, sent) == []
    by_key: dict[bytes, list[int]] = {}
    for record in await records_of(settings, PREDICTIONS):
        number = int(record.value.split()[0])
        by_key.setdefault(record.key, []).append(number)
        assert record.headers == tuple(sent[number].headers)
    assert by_key == {f"{k}".encode(): list(range(k, 800, 7)) for k in range(7)}


async def test_records_without_a_key_are_spread(producer: Producer, settings: Settings) -> None:
    assert await producer.send_many(PREDICTIONS, [Outgoing(None, b"%d" % i) for i in range(200)]) == []
    found = await records_of(settings, PREDICTIONS)
    assert sorted(int(record.value) for record in found) == list(range(200))
    assert len({record.partition for record in found}) > 1


async def test_an_absent_topic_is_named_for_many_as_well(settings: Settings) -> None:
    async with Producer(settings, ack_seconds=1) as producer:
        with pytest.raises(BrokerUnavailable, match=r"\.predictions does not exist on .*: start a worker"):
            await producer.send_many(PREDICTIONS, [Outgoing(b"%d" % i, b"1") for i in range(50)])
