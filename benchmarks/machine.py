"""What a figure was measured on, in one line."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import psutil

from app.runtime.kafka_jars import KAFKA_VERSION
from app.runtime.settings import Settings


def machine(settings: Settings, *, started: bool) -> str:
    """Date, cores, processor, memory, kernel, Python, Kafka. `started`: the Kafka is ours, so its version is known."""
    kafka = f"Apache Kafka {KAFKA_VERSION}" if started else f"a Kafka that was there, at {settings.bootstrap_servers}"
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    return (
        f"machine: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores {_processor()}, {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {kafka}, load {load:.1f}"
    )


def _processor() -> str:
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
