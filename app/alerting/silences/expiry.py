"""Removal of long-expired silences from their compacted topic, which keeps every key until it is deleted."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import NoReturn

from app.alerting.silences.table import SilencesTable
from app.kafka.errors import BrokerUnavailable
from app.kafka.producer import Producer
from topics.events import utc_now
from topics.registry import SILENCES

log = logging.getLogger(__name__)

KEPT = timedelta(days=30)
"""Time for which an expired silence is listed. The audit records who made and ended it."""
LOOK_SECONDS = 3600.0


async def expire_silences(view: SilencesTable, producer: Producer, connected: asyncio.Event) -> NoReturn:
    """Delete long-expired silences, repeatedly and without end. Several APIs may delete the same silences."""
    await connected.wait()
    while True:
        over = [one for one in view.all() if one.ends_at is not None and one.ends_at < utc_now() - KEPT]
        try:
            for silence in over:
                await producer.send(SILENCES, silence.silence_id.encode(), None)
        except BrokerUnavailable as error:
            log.debug("silences are not taken out yet: %s", error)
        await asyncio.sleep(LOOK_SECONDS)
