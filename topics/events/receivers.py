"""Receivers of alerts that are created at run time, in addition to those in the settings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from topics.events.base import Event, Name


class ReceiverEvent(Event, frozen=True, kw_only=True):
    """A webhook to which alerts can be sent: the channel `webhook:` and its name.

    `secret` names the key that signs the requests: a file in the workers' `receiver_secrets_dir`. The key itself is not
    transmitted. A record without a value deletes the receiver.
    """

    name: Name
    url: str
    secret: str | None
    created_at: Annotated[datetime, Meta(tz=True)]
    created_by: str
    comment: str = ""
