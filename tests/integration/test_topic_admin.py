"""Topics on a real broker: created as declared, verified when they exist."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.runtime.errors import TopicError
from app.runtime.settings import Settings
from app.runtime.topic_admin import NamedTopic, ensure_topics
from topics.registry import MODELS, PREDICTIONS, TOPICS


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
    await create(settings, NewTopic(PREDICTIONS.full_name(settings.prefix), 3, 1))
    with pytest.raises(TopicError) as error:
        await ensure_topics(settings, [PREDICTIONS])
    assert str(error.value).startswith(f"topic {settings.prefix}predictions has 3 partitions, 4 are set: ")
    assert "\n" not in str(error.value)


async def test_another_clean_up_is_one_clear_line(settings: Settings) -> None:
    await create(settings, NewTopic(MODELS.full_name(settings.prefix), 1, 1))
    with pytest.raises(TopicError, match=r"has cleanup\.policy=delete, compact is declared"):
        await ensure_topics(settings, [MODELS])


async def test_more_replicas_than_brokers_is_one_clear_line(settings: Settings) -> None:
    with pytest.raises(TopicError, match=r"predictions cannot be created: .*replication"):
        await ensure_topics(settings.model_copy(update={"replication": 32}), [PREDICTIONS])
