"""Kafka in Docker, through docker-compose.kafka.yml."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from app.kafka.errors import BrokerError
from app.local.kafka_jars import Tell, tell_on_stderr
from app.local.kafka_probe import is_free, speaks_kafka

COMPOSE_FILE = "docker-compose.kafka.yml"
DEFAULT_PORT = 9092
DETECT_SECONDS = 3.0
UP_SECONDS = 600.0


@dataclass(frozen=True)
class DockerBroker:
    """Kafka of the compose file. `started`: whether this process started it."""

    bootstrap_servers: str
    compose_file: Path
    started: bool

    def stop(self) -> None:
        """Stop Kafka if this process started it."""
        if self.started:
            _compose(self.compose_file, "stop", "kafka", seconds=60)


def docker_answers() -> bool:
    """Return whether a Docker engine with compose is reachable."""
    if shutil.which("docker") is None:
        return False
    try:
        for command in (["docker", "info", "--format", "{{.ServerVersion}}"], ["docker", "compose", "version"]):
            subprocess.run(command, capture_output=True, timeout=DETECT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def compose_file() -> Path | None:
    """Return the path of docker-compose.kafka.yml in the clone or the working directory; None where there is none."""
    places = (Path(__file__).parents[2], Path.cwd())
    return next((place / COMPOSE_FILE for place in places if (place / COMPOSE_FILE).is_file()), None)


def running_in_docker(file: Path) -> str | None:
    """Return the address of the compose file's Kafka; None where it does not run or respond."""
    done = _compose(file, "port", "kafka", str(DEFAULT_PORT), seconds=10)
    _, _, port = done.stdout.strip().rpartition(":")
    server = f"127.0.0.1:{port}"
    return server if done.returncode == 0 and port.isdigit() and speaks_kafka(server) else None


def start_in_docker(file: Path, *, port: int | None = None, tell: Tell = tell_on_stderr) -> DockerBroker:
    """Return the compose file's Kafka: the running one, else a new one. Raises BrokerError."""
    running = running_in_docker(file)
    if running is not None:
        return DockerBroker(running, file, started=False)
    port = port or DEFAULT_PORT
    if not is_free(port):
        raise BrokerError(f"port {port} is taken: stop what listens there, or set another with DRIFTLINE_BROKER_PORT")
    tell("starting Kafka in Docker ...")
    done = _compose(file, "up", "--detach", "--wait", "kafka", seconds=UP_SECONDS, port=port)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it does not say why"]
        raise BrokerError(f"Docker cannot start Kafka: {said[-1]}")
    return DockerBroker(f"127.0.0.1:{port}", file, started=True)


def stop_in_docker(file: Path) -> bool:
    """Stop the compose file's Kafka. Return whether it ran."""
    if running_in_docker(file) is None:
        return False
    _compose(file, "stop", "kafka", seconds=60)
    return True


def _compose(file: Path, *arguments: str, seconds: float, port: int | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **({"DRIFTLINE_BROKER_PORT": str(port)} if port else {})}
    command = ["docker", "compose", "-f", str(file), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=env, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer within {seconds:.0f} s")
