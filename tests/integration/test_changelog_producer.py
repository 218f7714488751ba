"""What is written to tables: once, however often it is sent; and whoever cannot write it does not go on."""

from __future__ import annotations

import asyncio

from app.faust_batches.app import FAILED
from app.kafka.topics import NamedTopic, ensure_topics
from app.settings.settings import Settings
from tests.support.stream import worker

REFUSED = """
import asyncio, sys

from app.faust_batches.app import make_app
from app.settings.settings import load_settings
from app.telemetry import logs

async def main():
    app = make_app(load_settings())
    await app.producer.start()
    for value in (b"small", bytes(1000), b"small"):
        await app.producer.send(sys.argv[1], b"key", value, 0, None, None)
    await asyncio.sleep(30)

logs.set_up("INFO", "text")
asyncio.run(main())
"""
"""Writes a record that is larger than its topic allows."""


async def test_a_worker_ends_where_kafka_refuses_what_it_writes_to_a_table(settings: Settings) -> None:
    name = f"{settings.group}-small-changelog"
    await ensure_topics(settings, (), [NamedTopic(name, 1, {"max.message.bytes": "200"})])
    with worker(settings, "refused", ("-c", REFUSED, name)) as process:
        assert await asyncio.to_thread(process.wait, 25) == FAILED
    told = (settings.state_dir / "refused.log").read_text()
    assert f"{name} does not take a record (MessageSizeTooLargeError" in told
