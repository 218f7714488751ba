"""Kafka, found or started: the named one, else one in Docker, else Apache Kafka from its jars."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from app.kafka.client_options import tls_of
from app.kafka.errors import BrokerError
from app.local.kafka_docker import compose_file, docker_answers, running_in_docker, start_in_docker
from app.local.kafka_jar_process import running_broker, start_from_jars
from app.local.kafka_jars import Tell, tell_on_stderr
from app.local.kafka_probe import first_that_answers
from app.local.kafka_restart import KeptBroker
from app.settings.settings import Settings

__all__ = ["BrokerError", "Kafka", "broker_dir", "find_kafka", "running_kafka"]

How = Literal["given", "docker", "jars"]


class Kafka:
    """Kafka to use. `stop`, or leaving the context, stops a Kafka that was started here and is not persistent."""

    def __init__(self, bootstrap_servers: str, how: How, stop: Callable[[], None] | None = None) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.how: How = how
        self._stop = stop

    def stop(self) -> None:
        """Stop Kafka if this process is responsible for it. May be called again."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def broker_dir(settings: Settings) -> Path:
    """Return the data folder of a broker from the jars."""
    return (settings.state_dir / "kafka").absolute()


def find_kafka(
    settings: Settings,
    *,
    data_dir: Path | None = None,
    port: int | None = None,
    persistent: bool = False,
    keep: bool = False,
    tell: Tell = tell_on_stderr,
) -> Kafka:
    """Find Kafka or start it, and report slow steps to `tell`.

    A started Kafka ends with this process, unless it is `persistent`. With `keep`, a broker from the jars is started
    again on the same port when it ends by itself (Docker restarts its own). Raises BrokerError: one line that says what
    to do.
    """
    if settings.bootstrap_servers is not None:
        return Kafka(_answering(settings, settings.bootstrap_servers), "given")
    _check_plain(settings)
    data_dir, port = data_dir or broker_dir(settings), port or settings.broker_port
    running = running_broker(data_dir)
    if running is None and data_dir == broker_dir(settings):
        in_docker = _docker(port, persistent, tell)
        if in_docker is not None:
            return in_docker
    broker = start_from_jars(data_dir, port=port, persistent=persistent, tell=tell)
    stop = KeptBroker(broker, tell).stop if keep and broker.process is not None else broker.stop
    return Kafka(broker.bootstrap_servers, "jars", stop)


def running_kafka(settings: Settings) -> str | None:
    """Return the bootstrap servers of a Kafka that is named or already running; None where there is none.

    Raises BrokerError if the named Kafka does not respond.
    """
    if settings.bootstrap_servers is not None:
        return _answering(settings, settings.bootstrap_servers)
    _check_plain(settings)
    running = running_broker(broker_dir(settings))
    if running is not None:
        return running.bootstrap_servers
    file = compose_file()
    return running_in_docker(file) if file is not None and docker_answers() else None


def _answering(settings: Settings, servers: str) -> str:
    if first_that_answers(servers, tls_of(settings)) is None:
        over = "" if settings.kafka_security_protocol == "PLAINTEXT" else f" over {settings.kafka_security_protocol}"
        raise BrokerError(
            f"no Kafka answers at {servers}{over}: start it, or correct bootstrap_servers (unset: one is started)"
        )
    return servers


def _check_plain(settings: Settings) -> None:
    if settings.kafka_security_protocol != "PLAINTEXT":
        raise BrokerError(
            f"kafka_security_protocol: {settings.kafka_security_protocol} is for a Kafka that is named; "
            "set bootstrap_servers"
        )


def _docker(port: int | None, persistent: bool, tell: Tell) -> Kafka | None:
    file = compose_file()
    if file is None or not docker_answers():
        return None
    try:
        broker = start_in_docker(file, port=port, tell=tell)
    except BrokerError as error:
        tell(f"{error}; trying Apache Kafka's jars")
        return None
    return Kafka(broker.bootstrap_servers, "docker", None if persistent else broker.stop)
