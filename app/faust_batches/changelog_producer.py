"""Faust's own producer, which writes the changelogs: idempotent, and a record that Kafka refuses ends the process.

Faust logs such a record and goes on, with a table that the next recovery would not find as it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from faust.transport.drivers import aiokafka as driver

log = logging.getLogger(__name__)


class ChangelogProducer(driver.Producer):  # type: ignore[misc]
    """Sends a batch again until Kafka has it, and Kafka takes it once. What is refused is told to the transport."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def send(self, topic: str, *args: Any, **options: Any) -> asyncio.Future[Any]:
        """Faust's, with an eye on what becomes of the record."""
        sent: asyncio.Future[Any] = await super().send(topic, *args, **options)
        sent.add_done_callback(lambda done: self._look_at(done, topic))
        return sent

    def _look_at(self, done: asyncio.Future[Any], topic: str) -> None:
        if done.cancelled() or (error := done.exception()) is None:
            return
        log.critical("%s does not take a record (%r); the worker ends, so that no state is lost", topic, error)
        self.transport.on_refused()
