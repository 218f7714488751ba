"""AsyncAPI 3 document of all topics."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import yaml

from app.contract.schemas import components, events_of, travelling
from topics.inferences import HEADERS
from topics.registry import DEAD_LETTERS, FEEDBACK, INFERENCES, PREDICTIONS, TOPICS, Topic
from topics.wire import WIRE_VERSION

Document = dict[str, Any]

HEADER = "# Made by `make contract` from topics/; a change by hand is lost.\n"
RECEIVED = (PREDICTIONS, FEEDBACK)
"""Topics that producers write. Driftline writes all others."""
HEARTBEAT_HEADERS = {
    "type": "object",
    "properties": {"driftline": {"const": "heartbeat", "description": "Distinguishes a heartbeat from a prediction."}},
    "required": ["driftline"],
}
UNREAD = "Record"
"""Name of the message for a dead letter: a record as it came."""
HALF = "InferenceHalf"
"""Name of the message for a request or a response of an inference."""


def asyncapi() -> Document:
    """Return the AsyncAPI document. A channel's id is the topic's name without its prefix."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Driftline's topics",
            "version": WIRE_VERSION,
            "description": "Every record that travels through Kafka. Who writes to a topic keys each record by the "
            "topic's key. Predictions and feedback that murmur2 would have put into another partition are sent there "
            "once more, with the header driftline-rekeyed. Readers must let pass fields that they do not know: "
            "docs/wire-changes.md tells what each version has changed.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{servers}",
                "protocol": "kafka",
                "description": "The setting bootstrap_servers.",
                "variables": {"servers": {"default": "127.0.0.1:9092"}},
            }
        },
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {_operation_id(topic): _operation(topic) for topic in TOPICS},
        "components": {
            "messages": {
                **{name: _message(name) for name in sorted(travelling())},
                UNREAD: _unread(),
                HALF: _half(),
            },
            "schemas": components(list(travelling().values()), "#/components/schemas/{name}"),
        },
    }


def asyncapi_yaml() -> str:
    """Return the AsyncAPI document as YAML."""
    plain = json.loads(json.dumps(asyncapi()))  # copies shared objects, so that YAML has no anchors
    return HEADER + str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120))


def _channel(topic: Topic) -> Document:
    config: Document = {
        "cleanup.policy": topic.cleanup.split(","),
        "max.message.bytes": topic.max_message_bytes,
        **({"retention.ms": int(topic.config()["retention.ms"])} if "delete" in topic.cleanup else {}),
    }
    told = f"Key: {topic.key}."
    if topic.partitioned:
        told += " As many partitions as the setting `partitions` says."
    if topic.broker_times:
        told += " The broker's own time is the record's (message.timestamp.type=LogAppendTime)."
    return {
        "address": topic.full_name(),
        "description": told,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages_of(topic)},
        "bindings": {
            "kafka": {
                "topic": topic.full_name(),
                **({} if topic.partitioned else {"partitions": 1}),
                "topicConfiguration": config,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _messages_of(topic: Topic) -> Iterable[str]:
    return events_of(topic) or ((HALF,) if topic is INFERENCES else (UNREAD,))


def _operation_id(topic: Topic) -> str:
    return f"{'receive' if topic in RECEIVED else 'send'}-{topic.name}"


def _operation(topic: Topic) -> Document:
    return {
        "action": "receive" if topic in RECEIVED else "send",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in _messages_of(topic)],
    }


def _message(name: str) -> Document:
    (topic,) = [topic for topic in TOPICS if name in events_of(topic)]
    return {
        "name": name,
        "contentType": "application/json",
        **({"headers": HEARTBEAT_HEADERS} if name == "Heartbeat" else {}),
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}},
    }


def _unread() -> Document:
    return {
        "name": UNREAD,
        "contentType": "application/octet-stream",
        "description": "A record's bytes and key as they came; its headers say why it was set aside, and where it was.",
        "bindings": {"kafka": {"key": {"description": DEAD_LETTERS.key}, "bindingVersion": "0.5.0"}},
    }


def _half() -> Document:
    return {
        "name": HALF,
        "contentType": "application/json",
        "description": "A request's or a response's payload as it came; its headers are a CloudEvent's in Kafka's "
        "binary mode. The two of one inference have the same id.",
        "headers": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in HEADERS},
            "required": ["ce_id", "ce_type"],
        },
        "bindings": {"kafka": {"key": {"type": "string", "description": INFERENCES.key}, "bindingVersion": "0.5.0"}},
    }
