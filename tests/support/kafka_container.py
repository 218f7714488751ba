"""The Compose file's Kafka, alone in a container of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Mapping

import yaml

from app.local.find_kafka import Kafka
from app.local.kafka_docker import COMPOSE_FILE, DEFAULT_PORT
from app.local.kafka_probe import free_ports, speaks_kafka
from tests.support.paths import ROOT

START_SECONDS = 120.0


def engine_answers(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether a container engine is there, as an environment (this process's own) names it."""
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(["docker", "info"], env=environment, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"Server Version" in done.stdout


def kafka_in_container(**settings: object) -> Kafka:
    """Start it; `settings` are of its environment, and stand before those of the file."""
    from testcontainers.core.container import DockerContainer  # it looks for Docker when it is imported

    service = yaml.safe_load((ROOT / COMPOSE_FILE).read_text())["services"]["kafka"]
    (port,) = free_ports(1)
    container = DockerContainer(service["image"]).with_bind_ports(f"{DEFAULT_PORT}/tcp", port)
    given = {"KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": 1000, **settings}
    for name, value in {**service["environment"], **given}.items():
        container.with_env(name, re.sub(r"\$\{DRIFTLINE_BROKER_PORT:-\d+\}", str(port), str(value)))
    container.start()
    server, deadline = f"127.0.0.1:{port}", time.monotonic() + START_SECONDS
    while not speaks_kafka(server):
        if time.monotonic() > deadline:
            said = container.get_logs()
            container.stop()
            raise RuntimeError(f"Kafka does not start in its container: {said!r}"[-2000:])
        time.sleep(0.1)
    return Kafka(server, "docker", container.stop)
