"""Receivers made, checked, shown, and sent: what the command line and the API share."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from app.kafka.producer import Producer
from topics.events import ReceiverEvent
from topics.registry import RECEIVERS

PREFIX = "webhook:"
"""Before a receiver's name: its channel, as routes name it."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SECRET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
LONGEST_COMMENT = 1000


class ReceiverError(ValueError):
    """A receiver that cannot be; starts with the field."""


class ReceiverRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receiver as people ask for one. `secret`: the name of a file in `receiver_secrets_dir`, not the key itself.

    `created_by` is the name of the API key where one is asked for, whatever is given.
    """

    name: str
    url: str
    created_by: str = ""
    secret: str | None = None
    comment: str = ""


class ShownReceiver(Struct, frozen=True, kw_only=True):
    """A receiver as it is shown. `url` without its path, which may be all that it takes to post there."""

    name: str
    channel: str
    url: str
    secret: str | None
    created_at: datetime
    created_by: str
    comment: str


def receiver_of(asked: ReceiverRequest, now: datetime) -> ReceiverEvent:
    """The receiver that is asked for, checked, but for where its URL leads. Raises ReceiverError."""
    if NAME.fullmatch(asked.name) is None:
        raise ReceiverError("name: must have 1 to 64 of a-z, 0-9, '.', '_' and '-', and begin with a letter or digit")
    if asked.secret is not None and SECRET.fullmatch(asked.secret) is None:
        # It may be the key itself, so it is not said again.
        raise ReceiverError("secret: must be the name of a file in receiver_secrets_dir, not the key itself")
    if not 0 < len(asked.created_by.strip()) <= LONGEST_COMMENT:
        raise ReceiverError(f"created_by: must have 1 to {LONGEST_COMMENT} characters; somebody will ask")
    if len(asked.comment) > LONGEST_COMMENT:
        raise ReceiverError(f"comment: must have at most {LONGEST_COMMENT} characters")
    return ReceiverEvent(
        name=asked.name,
        url=asked.url,
        secret=asked.secret,
        created_at=now,
        created_by=asked.created_by.strip(),
        comment=asked.comment.strip(),
    )


def shown(receiver: ReceiverEvent) -> ShownReceiver:
    """What is told of a receiver."""
    return ShownReceiver(
        name=receiver.name,
        channel=f"{PREFIX}{receiver.name}",
        url=origin_of(receiver.url),
        secret=receiver.secret,
        created_at=receiver.created_at,
        created_by=receiver.created_by,
        comment=receiver.comment,
    )


def origin_of(url: str) -> str:
    """A URL's scheme, host and port; of the rest an ellipsis."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    rest = "/…" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{host}{port}{rest}"


async def send_receiver(producer: Producer, receiver: ReceiverEvent) -> None:
    """Make it known; returns once Kafka has it. Raises BrokerUnavailable."""
    await producer.send(RECEIVERS, receiver.name.encode(), msgspec.json.encode(receiver))


async def remove_receiver(producer: Producer, name: str) -> None:
    """Take it away; returns once Kafka has it. Raises BrokerUnavailable."""
    await producer.send(RECEIVERS, name.encode(), None)
