"""Faust's producer for the changelogs: idempotent, and a record that Kafka refuses ends the process.

Faust itself only logs such a record and goes on. The next recovery would find a different table.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from faust.transport.drivers import aiokafka as driver

log = logging.getLogger(__name__)


class ChangelogProducer(driver.Producer):  # type: ignore[misc]
    """Producer that retries until Kafka has a batch exactly once, and reports refused records to the transport."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def send(self, topic: str, *args: Any, **options: Any) -> asyncio.Future[Any]:
        """Send a record as Faust does, and check the result."""
        sent: asyncio.Future[Any] = await super().send(topic, *args, **options)
        sent.add_done_callback(lambda done: self._look_at(done, topic))
        return sent

    def _look_at(self, done: asyncio.Future[Any], topic: str) -> None:
        if done.cancelled() or (error := done.exception()) is None:
            return
        log.critical("%s does not take a record (%r); the worker ends, so that no state is lost", topic, error)
        self.transport.on_refused()
