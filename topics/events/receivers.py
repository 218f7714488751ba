"""Who is told of alerts, beside those in the settings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from topics.events.base import Event, Name


class ReceiverEvent(Event, frozen=True, kw_only=True):
    """A webhook that alerts can be sent to: the channel `webhook:` and its name.

    `secret` names the key that signs what is sent there: a file in the workers' `receiver_secrets_dir`. The key itself
    does not travel. A record without a value takes the receiver away.
    """

    name: Name
    url: str
    secret: str | None
    created_at: Annotated[datetime, Meta(tz=True)]
    created_by: str
    comment: str = ""
