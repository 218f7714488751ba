"""Coordinator of a consumer group, and the wait for it: a new Kafka has none until a client requests it."""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.kafka.client_options import client_options
from app.settings.settings import Settings

TIMES, PAUSE_SECONDS = 200, 0.1


async def await_coordinator(settings: Settings) -> None:
    """Request the group's coordinator until there is one, so that no consumer logs an error about the lack of one.

    Return after TIMES attempts at the latest: the consumers then make the request themselves, and log the errors.
    """
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        for _ in range(TIMES):
            if await _found(admin, settings.group):
                return
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        await admin.close()


async def _found(admin: AIOKafkaAdminClient, group: str) -> bool:
    try:
        await admin.find_coordinator(group)
    except KafkaError as error:
        if not error.retriable:
            raise
        return False
    return True
