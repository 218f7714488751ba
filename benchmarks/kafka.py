"""A Kafka for a benchmark, found or started, and topics of its own that are gone afterwards."""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from app.local.find_kafka import find_kafka, running_kafka
from app.settings.settings import Settings, load_settings
from benchmarks.machine import machine


@contextmanager
def benchmark_settings(**overrides: object) -> Iterator[Settings]:
    """Settings with a broker, topics and folders of this run's own; names the machine.

    Raises BrokerError, SettingsError.
    """
    name = f"bench-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory(prefix="driftline-bench-") as home:
        own = {"state_dir": Path(home), "alerts_dir": Path(home) / "alerts", "prefix": f"{name}.", "group": name}
        settings = load_settings(**{"log_level": "WARNING", **own, **overrides})
        servers = running_kafka(load_settings())
        with find_kafka(settings.model_copy(update={"bootstrap_servers": servers})) as kafka:
            settings = settings.model_copy(update={"bootstrap_servers": kafka.bootstrap_servers})
            print(machine(settings, started=kafka.how != "given"), flush=True)
            try:
                yield settings
            finally:
                if kafka.how == "given":
                    asyncio.run(_clean(settings, name))


async def _clean(settings: Settings, name: str) -> None:
    """Delete the run's topics on a broker that stays; its groups, which have nothing to read, it forgets."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([topic for topic in await admin.list_topics() if name in topic])
    finally:
        await admin.close()
