"""Ids of the cluster and of its topics: a topic that is created again has another id.

aiokafka requests metadata in versions that have no ids. This is version 12 of the request (Kafka 3.1 and later).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

NOT_THERE = 3
"""Kafka's UNKNOWN_TOPIC_OR_PARTITION."""


class _Uuid:
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)

    @classmethod
    def repr(cls, value: bytes) -> str:
        return str(UUID(bytes=value))


_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)


class _Metadata12Response(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), _TAGS)),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        _TAGS,
                    ),
                ),
                ("authorized_operations", Int32),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class _Metadata12(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Metadata12Response
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _TEXT), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


class _Metadata(Request[_Metadata12]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)

    def build(self, request_struct_class: type[_Metadata12]) -> _Metadata12:
        topics: list[tuple[bytes, str, dict[int, bytes]]] = [(bytes(16), name, {}) for name in self._names]
        return request_struct_class(topics, False, False, {})


@dataclass(frozen=True, slots=True)
class TopicThere:
    """Existing topic: its id, and its number of partitions."""

    id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class TopicsThere:
    """Cluster by its id, and the requested topics that exist, by name."""

    cluster: str
    topics: Mapping[str, TopicThere]


async def topics_there(client: AIOKafkaClient, names: Iterable[str]) -> TopicsThere:
    """Request the topics from any broker. The request creates no topic.

    Raises KafkaError, and NotImplementedError for a Kafka older than 3.1.
    """
    found: Any = await client.send(client.get_random_node(), _Metadata(names))
    there = {
        name: TopicThere(str(UUID(bytes=topic_id)), len(partitions))
        for error, name, topic_id, _internal, partitions, *_ in found.topics
        if error != NOT_THERE and topic_id is not None
    }
    return TopicsThere(found.cluster_id or "", there)
