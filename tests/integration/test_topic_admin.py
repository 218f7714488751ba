"""Topics on a real broker: created as declared, verified when they exist."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.commands.options import CommandError
from app.commands.topic_reader import records, registered
from app.kafka.errors import TopicError
from app.kafka.topics import NamedTopic, ensure_topics
from app.local import kafka_jar_process
from app.local.kafka_config import server_properties
from app.settings.settings import Settings, load_settings
from tests.support.kafka_container import engine_answers, kafka_in_container
from topics.registry import ALERTS, MODELS, PANES, PREDICTIONS, TOPICS


@pytest.fixture(scope="module")
def generous(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The servers of a Kafka that creates the topics it is asked for, as Kafka does unless it is told not to."""
    if engine_answers():
        with kafka_in_container(KAFKA_AUTO_CREATE_TOPICS_ENABLE="true") as found:
            yield found.bootstrap_servers
        return

    def creating(data: Path, port: int, controller_port: int) -> str:
        return server_properties(data, port, controller_port).replace(
            "auto.create.topics.enable=false", "auto.create.topics.enable=true"
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka_jar_process, "server_properties", creating)
        broker = kafka_jar_process.start_from_jars(tmp_path_factory.mktemp("generous"))
    yield broker.bootstrap_servers
    broker.stop()


async def partitions_of(settings: Settings) -> dict[str, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name.startswith(settings.prefix)]
        return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(names)}
    finally:
        await admin.close()


async def create(settings: Settings, *topics: NewTopic) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics(list(topics))
    finally:
        await admin.close()


async def alter(settings: Settings, name: str, config: dict[str, str]) -> None:
    """Give a topic another configuration, and see that the broker has it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, config)])
        asked = ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(config, ""))
        while True:
            (answer,) = await admin.describe_configs([asked])
            if {entry[0]: entry[1] for entry in answer.resources[0][4]} == config:
                return
    finally:
        await admin.close()


async def test_every_declared_topic_is_created_with_its_partitions(settings: Settings) -> None:
    await ensure_topics(settings)
    expected = {topic.full_name(settings.prefix): 4 if topic.partitioned else 1 for topic in TOPICS}
    assert await partitions_of(settings) == expected


async def test_a_second_time_changes_nothing_and_changelogs_are_added(settings: Settings) -> None:
    await ensure_topics(settings, [PREDICTIONS])
    changelog = NamedTopic(f"{settings.prefix}table-changelog", 4, {"cleanup.policy": "compact"})
    await ensure_topics(settings, [PREDICTIONS], [changelog])
    await ensure_topics(settings, [PREDICTIONS], [changelog])
    assert await partitions_of(settings) == {f"{settings.prefix}predictions": 4, changelog.name: 4}


async def test_workers_that_start_at_the_same_time_do_not_trip_over_each_other(settings: Settings) -> None:
    await asyncio.gather(*(ensure_topics(settings) for _ in range(4)))
    assert len(await partitions_of(settings)) == len(TOPICS)


async def test_another_number_of_partitions_is_one_clear_line(settings: Settings) -> None:
    await create(settings, NewTopic(PREDICTIONS.full_name(settings.prefix), 3, 1, topic_configs=PREDICTIONS.config()))
    with pytest.raises(TopicError) as error:
        await ensure_topics(settings, [PREDICTIONS])
    assert str(error.value).startswith(f"topic {settings.prefix}predictions has 3 partitions, 4 are set: ")
    assert "\n" not in str(error.value)


async def test_another_clean_up_is_one_clear_line(settings: Settings) -> None:
    await create(settings, NewTopic(MODELS.full_name(settings.prefix), 1, 1))
    with pytest.raises(TopicError, match=r"has cleanup\.policy=delete, compact is declared"):
        await ensure_topics(settings, [MODELS])


async def test_a_topic_from_before_there_was_a_retention_is_used_and_named_and_a_short_one_is_refused(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    name = PANES.full_name(settings.prefix)
    older = {"cleanup.policy": "compact", "max.message.bytes": str(PANES.max_message_bytes)}
    await create(settings, NewTopic(name, 4, 1, topic_configs=older))
    await ensure_topics(settings, [PANES])
    (line,) = [record.message for record in caplog.records if name in record.message]
    command = re.search(r"--alter --topic (\S+) --add-config (\S+)$", line)
    assert command is not None
    assert command[1] == name
    wanted = dict(re.findall(r"([a-z.]+)=\[?([\w,]+?)\]?(?:,(?=[a-z]+\.)|$)", command[2]))
    named = ("cleanup.policy", "message.timestamp.type", "retention.ms")
    assert wanted == {key: PANES.config()[key] for key in named}
    await alter(settings, name, {**older, **wanted})
    caplog.clear()
    await ensure_topics(settings, [PANES])
    assert not caplog.records
    await alter(settings, name, {**older, **wanted, "retention.ms": "-1"})
    await ensure_topics(settings, [PANES])
    await alter(settings, name, {**older, **wanted, "retention.ms": "86400000"})
    with pytest.raises(
        TopicError, match=rf"has retention\.ms=86400000, {wanted['retention.ms']} is declared: alter it"
    ):
        await ensure_topics(settings, [PANES])


async def test_more_replicas_than_brokers_is_one_clear_line(settings: Settings) -> None:
    with pytest.raises(TopicError, match=r"predictions cannot be created: .*replication"):
        await ensure_topics(settings.model_copy(update={"replication": 32}), [PREDICTIONS])


async def test_topics_are_as_declared_on_a_broker_that_creates_what_it_is_asked_for(generous: str, prefix: str) -> None:
    settings = load_settings(bootstrap_servers=generous, prefix=prefix, partitions=3)
    await ensure_topics(settings)
    expected = {topic.full_name(prefix): 3 if topic.partitioned else 1 for topic in TOPICS}
    assert await partitions_of(settings) == expected
    await ensure_topics(settings)  # their clean-up is as declared too


async def test_commands_that_only_read_create_no_topic(generous: str, prefix: str) -> None:
    settings = load_settings(bootstrap_servers=generous, prefix=prefix)
    with pytest.raises(CommandError, match="start a worker first"):
        [record async for record in records(settings, ALERTS.full_name(prefix))]
    with pytest.raises(CommandError, match="nothing is registered"):
        await registered(settings, "churn", "3")
    assert await partitions_of(settings) == {}


async def test_a_topic_with_its_producers_times_is_one_clear_line(settings: Settings) -> None:
    config = {**PREDICTIONS.config(), "message.timestamp.type": "CreateTime"}
    await create(settings, NewTopic(PREDICTIONS.full_name(settings.prefix), 4, 1, topic_configs=config))
    with pytest.raises(TopicError) as error:
        await ensure_topics(settings, [PREDICTIONS])
    name = f"{settings.prefix}predictions"
    assert str(error.value).startswith(
        f"topic {name} has message.timestamp.type=CreateTime, LogAppendTime is declared: alter it (kafka-configs.sh"
    )
    assert "\n" not in str(error.value)
