"""What a figure was measured on, in one line."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import psutil

from app.local.kafka_jars import KAFKA_VERSION
from app.settings.settings import Settings


def machine(settings: Settings, *, started: bool) -> str:
    """What `machine_alone` says, and Kafka. `started`: the Kafka is ours, so its version is known."""
    kafka = f"Apache Kafka {KAFKA_VERSION}" if started else f"a Kafka that was there, at {settings.bootstrap_servers}"
    return machine_alone(kafka)


def machine_alone(*more: str) -> str:
    """Date, cores, processor, memory, kernel, Python, `more`, and the load."""
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    return ", ".join((
        f"machine: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", f"{os.cpu_count()} cores {_processor()}",
        f"{memory:.0f} GiB", f"{platform.system()} {platform.release()}", f"Python {platform.python_version()}",
        *more, f"load {load:.1f}",
    ))  # fmt: skip


def _processor() -> str:
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
