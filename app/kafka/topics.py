"""Creation of missing topics, and verification of existing ones, by their declaration."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from app.kafka.client_options import client_options
from app.kafka.errors import TopicError
from app.settings.settings import Settings
from topics.registry import TOPICS, Topic

log = logging.getLogger(__name__)

__all__ = ["NamedTopic", "TopicError", "declared", "ensure_topics", "partitions_of"]

SETTLE_SECONDS = 15.0
POLICY, RETENTION = "cleanup.policy", "retention.ms"
VERIFIED = (POLICY, "message.timestamp.type")
"""Keys that must be as declared: compaction of an event log loses events, and a producer's time is not the broker's."""
BOTH = {"compact", "delete"}
"""Clean-up of topics whose retention is verified too: the broker must not delete before their writers have."""


@dataclass(frozen=True, slots=True)
class NamedTopic:
    """Topic by its full name, with its partitions and its broker configuration, for example a table's changelog."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


def declared(settings: Settings, topics: Iterable[Topic]) -> list[NamedTopic]:
    """Return the registry's topics under the settings' prefix and number of partitions."""
    return [
        NamedTopic(topic.full_name(settings.prefix), topic.partitions(settings.partitions), topic.config())
        for topic in topics
    ]


async def ensure_topics(
    settings: Settings, topics: Iterable[Topic] = TOPICS, changelogs: Iterable[NamedTopic] = ()
) -> None:
    """Create the missing ones of `topics` and `changelogs` and verify the existing ones.

    Return when the broker knows all of them. Raises TopicError with one line for each that differs from its declaration
    or cannot be created. Existing topics are not changed.
    """
    wanted = {topic.name: topic for topic in [*declared(settings, topics), *changelogs]}
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        found = await _partitions(admin, wanted)
        missing = [topic for name, topic in wanted.items() if name not in found]
        created: set[str] = set()
        if missing:
            created = await _create(admin, missing, settings.replication)
            found = await _settled(admin, wanted)
        wrong = [partitions_differ(wanted[name], has) for name, has in found.items() if has != wanted[name].partitions]
        wrong += await _configs_that_differ(admin, [topic for name, topic in wanted.items() if name not in created])
    finally:
        await admin.close()
    if wrong:
        raise TopicError("\n".join(wrong))


async def partitions_of(settings: Settings, topic: Topic) -> int:
    """Return the number of partitions of a topic; 0 where the topic does not exist."""
    return await partitions_named(settings, topic.full_name(settings.prefix))


async def partitions_named(settings: Settings, name: str) -> int:
    """Return the number of partitions of a topic by its full name; 0 where the topic does not exist."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        return (await _partitions(admin, {name})).get(name, 0)
    finally:
        await admin.close()


def partitions_differ(topic: NamedTopic, has: int) -> str:
    """Return the message about a topic with another number of partitions than is set."""
    return (
        f"topic {topic.name} has {has} partitions, {topic.partitions} are set: "
        f"set DRIFTLINE_PARTITIONS={has} if all topics have as many, or take another prefix, or delete the topic"
    )


async def _partitions(admin: AIOKafkaAdminClient, wanted: Container[str]) -> dict[str, int]:
    """Return the number of partitions of each existing topic.

    All topics are requested: a request for one by name creates it, with one partition, where brokers create topics.
    """
    described = await admin.describe_topics()
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in described
        if topic["error_code"] == 0 and topic["topic"] in wanted
    }


async def _create(admin: AIOKafkaAdminClient, missing: list[NamedTopic], replication: int) -> set[str]:
    """Create topics. Return the new ones. If another worker was faster, its topics are verified instead."""
    safe = {"min.insync.replicas": str(replication // 2 + 1)} if replication > 2 else {}  # one may be down
    new = [NewTopic(t.name, t.partitions, replication, topic_configs={**safe, **t.config}) for t in missing]
    answer = await admin.create_topics(new)
    wrong = [
        f"topic {name} cannot be created: {detail[0] if detail and detail[0] else for_code(code).__name__}"
        for name, code, *detail in answer.topic_errors
        if code not in (0, TopicAlreadyExistsError.errno)
    ]
    if wrong:
        raise TopicError("\n".join(wrong))
    return {name for name, code, *_ in answer.topic_errors if code == 0}


async def _settled(admin: AIOKafkaAdminClient, wanted: Mapping[str, NamedTopic]) -> dict[str, int]:
    """Return the topics' numbers of partitions, once the broker's metadata has all of the topics."""
    found: dict[str, int] = {}
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            while len(found := await _partitions(admin, wanted)) < len(wanted):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        names = ", ".join(sorted(wanted.keys() - found.keys()))
        raise TopicError(f"topics created but not known after {SETTLE_SECONDS:.0f} s: {names}") from None
    return found


async def _configs_that_differ(admin: AIOKafkaAdminClient, topics: list[NamedTopic]) -> list[str]:
    """Return a line for each topic that is not configured as declared."""
    asked = {topic.name: _verified(topic) for topic in topics}
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(wanted, ""))
        for name, wanted in asked.items()
        if wanted
    ]
    has: dict[str, dict[str, Any]] = {}
    for answer in await admin.describe_configs(resources) if resources else []:
        for code, message, _type, name, entries in answer.resources:
            has.setdefault(name, {}).update({entry[0]: entry[1] for entry in entries})
            if code:
                why, wanted = message or for_code(code).__name__, asked[name].items()
                log.warning(
                    "topic %s: its configuration cannot be read (%s), so it is not verified: it must have %s; "
                    "allow DescribeConfigs", name, why, ", ".join(f"{key}={value}" for key, value in wanted),
                )  # fmt: skip
    return [line for name, wanted in asked.items() if name in has for line in _differences(name, wanted, has[name])]


def _verified(topic: NamedTopic) -> dict[str, str]:
    keys = [*VERIFIED, RETENTION] if _words(topic.config.get(POLICY, "")) == BOTH else VERIFIED
    return {key: topic.config[key] for key in keys if key in topic.config}


def _differences(name: str, wanted: Mapping[str, str], has: Mapping[str, str]) -> list[str]:
    """Return a line for each key that is not as `wanted`; only log a warning for topics of earlier releases."""
    if _words(wanted.get(POLICY, "")) == BOTH and _words(has.get(POLICY, "")) == {"compact"}:
        log.warning(
            "topic %s has cleanup.policy=compact, as earlier releases made it: it is used as it is, but what its "
            "writers miss stays for ever; alter it: %s", name, _alter(name, wanted),
        )  # fmt: skip
        return []
    return [
        f"topic {name} has {key}={has[key]}, {value} is declared: "
        f"alter it ({_alter(name, {key: value})}), or take another prefix"
        for key, value in wanted.items()
        if key in has and not _is_as(key, value, has[key])
    ]


def _is_as(key: str, wanted: str, has: str) -> bool:
    if key == RETENTION:
        return int(has) < 0 or int(has) >= int(wanted)
    return _words(has) == _words(wanted)


def _words(value: str) -> set[str]:
    return set(value.split(","))


def _alter(name: str, wanted: Mapping[str, str]) -> str:
    values = ",".join(f"{key}=[{value}]" if "," in value else f"{key}={value}" for key, value in wanted.items())
    return f"kafka-configs.sh --alter --topic {name} --add-config {values}"
