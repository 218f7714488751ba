"""Requests for receivers: checked, converted, shown and sent, for the command line and the API."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from app.core.config.routes import RECEIVER_PREFIX as PREFIX
from app.kafka.producer import Producer
from topics.events import ReceiverEvent
from topics.registry import RECEIVERS

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SECRET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
LONGEST_COMMENT = 1000


class ReceiverError(ValueError):
    """Error of an invalid receiver. The message starts with the field."""


class ReceiverRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for a receiver. `secret`: the name of a file in `receiver_secrets_dir`, not the key itself.

    Where the API requires a key, `created_by` is the name of that key, whatever the request contains.
    """

    name: str
    url: str
    created_by: str = ""
    secret: str | None = None
    comment: str = ""


class ShownReceiver(Struct, frozen=True, kw_only=True):
    """The public form of a receiver. `url` comes without its path, which may be all that is needed to post there."""

    name: str
    channel: str
    url: str
    secret: str | None
    created_at: datetime
    created_by: str
    comment: str


def receiver_of(asked: ReceiverRequest, now: datetime) -> ReceiverEvent:
    """Check a request and return its receiver. The address of the URL is not checked here. Raises ReceiverError."""
    if NAME.fullmatch(asked.name) is None:
        raise ReceiverError("name: must have 1 to 64 of a-z, 0-9, '.', '_' and '-', and begin with a letter or digit")
    if asked.secret is not None and SECRET.fullmatch(asked.secret) is None:
        # The value may be the key itself, so the message does not repeat it.
        raise ReceiverError("secret: must be the name of a file in receiver_secrets_dir, not the key itself")
    if not 0 < len(asked.created_by.strip()) <= LONGEST_COMMENT:
        raise ReceiverError(f"created_by: must have 1 to {LONGEST_COMMENT} characters, for whoever reads it later")
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
    """Return the public form of a receiver: the URL reduced to its origin."""
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
    """Return a URL's scheme, host and port, with an ellipsis for the rest."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    rest = "/…" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{host}{port}{rest}"


async def send_receiver(producer: Producer, receiver: ReceiverEvent) -> None:
    """Publish a receiver. Return once Kafka has acknowledged it. Raises BrokerUnavailable."""
    await producer.send(RECEIVERS, receiver.name.encode(), msgspec.json.encode(receiver))


async def remove_receiver(producer: Producer, name: str) -> None:
    """Delete a receiver. Return once Kafka has acknowledged it. Raises BrokerUnavailable."""
    await producer.send(RECEIVERS, name.encode(), None)
