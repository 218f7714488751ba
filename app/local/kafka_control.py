"""Broker of `driftline broker up|down|status`, which outlives the command that started it."""

from __future__ import annotations

from dataclasses import dataclass

from app.local.find_kafka import BrokerError, How, Kafka, broker_dir, find_kafka, running_kafka
from app.local.kafka_docker import compose_file, docker_answers, stop_in_docker
from app.local.kafka_jar_process import running_broker, stop_leftover
from app.local.kafka_jars import Tell, tell_on_stderr
from app.local.kafka_record import BrokerRecord
from app.settings.settings import Settings


@dataclass(frozen=True)
class BrokerStatus:
    """Status of the broker. `pid` and `owner` are known for a broker from the jars.

    `owner`: the process with which the broker ends; None if the broker is persistent.
    """

    running: bool
    how: How | None = None
    bootstrap_servers: str | None = None
    pid: int | None = None
    owner: int | None = None


def broker_up(settings: Settings, *, port: int | None = None, tell: Tell = tell_on_stderr) -> Kafka:
    """Find Kafka, or start a persistent broker. Raises BrokerError."""
    return find_kafka(settings, port=port, persistent=True, tell=tell)


def broker_down(settings: Settings, *, tell: Tell = tell_on_stderr) -> bool:
    """Stop the broker that `broker_up` started, or a leftover broker. Return whether one ran. Raises BrokerError."""
    data_dir = broker_dir(settings)
    running = running_broker(data_dir)
    if running is not None and running.record.owner is not None:
        raise BrokerError(f"the broker belongs to process {running.record.owner}: stop that, and it stops too")
    if stop_leftover(data_dir, tell):
        return True
    file = compose_file()
    return file is not None and docker_answers() and stop_in_docker(file)


def broker_status(settings: Settings) -> BrokerStatus:
    """Return the status of Kafka. Raises BrokerError if a named Kafka does not respond."""
    servers = running_kafka(settings)
    if servers is None:
        return BrokerStatus(running=False)
    if settings.bootstrap_servers is not None:
        return BrokerStatus(running=True, how="given", bootstrap_servers=servers)
    record = BrokerRecord.read(broker_dir(settings))
    if record is None or not servers.endswith(f":{record.port}"):
        return BrokerStatus(running=True, how="docker", bootstrap_servers=servers)
    return BrokerStatus(running=True, how="jars", bootstrap_servers=servers, pid=record.pid, owner=record.owner)
