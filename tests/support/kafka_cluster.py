"""Three brokers of the genuine Kafka, one of them the controller; each can be killed and started again."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from app.local.kafka_config import LOG4J, server_properties
from app.local.kafka_jar_process import HOST, JVM_FLAGS
from app.local.kafka_jars import find_java, kafka_jars
from app.local.kafka_probe import free_ports, speaks_kafka
from app.processes.guarded import GuardedProcess

CLUSTER_ID = "RHJpZnRsaW5lVGhyZWVLYQ"
START_SECONDS = 90.0
SAFE = {
    "offsets.topic.replication.factor": 3,
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "broker.session.timeout.ms": 2000,  # a dead broker is missed soon
    "broker.heartbeat.interval.ms": 400,
    "controlled.shutdown.enable": "false",
}


class Node:
    """One broker. The first is also the controller."""

    def __init__(self, number: int, folder: Path, port: int, controller_port: int) -> None:
        self.number, self.port = number, port
        self._folder = folder
        self._process: GuardedProcess | None = None
        folder.mkdir(parents=True)
        (folder / "log4j2.properties").write_text(LOG4J)
        self._java = [
            find_java(), *JVM_FLAGS, f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
            "-cp", f"{kafka_jars()}/*",
        ]  # fmt: skip
        own: dict[str, object] = {"node.id": number, **SAFE}
        if number > 1:
            own |= {"process.roles": "broker", "listeners": f"PLAINTEXT://{HOST}:{port}"}
        text = server_properties(folder / "data", port, controller_port)
        self._properties = folder / "server.properties"
        self._properties.write_text(text + "".join(f"{name}={value}\n" for name, value in own.items()))
        self._format()

    def _format(self) -> None:
        """The controller's folder by Kafka's tool; of the others it is their name alone."""
        if self.number == 1:
            tool = [*self._java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._properties)]
            subprocess.run(tool, check=True, capture_output=True)
            return
        (self._folder / "data").mkdir()
        names = {"version": 1, "cluster.id": CLUSTER_ID, "node.id": self.number, "directory.id": _directory_id()}
        meta = "".join(f"{name}={value}\n" for name, value in names.items())
        (self._folder / "data" / "meta.properties").write_text(meta)

    def start(self) -> None:
        """Start it, without waiting until it answers."""
        with (self._folder / "broker.log").open("ab") as log:
            command = [*self._java, "kafka.Kafka", str(self._properties)]
            self._process = GuardedProcess(command, stdout=log, stderr=log, grace=2.0)

    def answers(self) -> bool:
        """Whether it speaks Kafka. Raises AssertionError where it has ended."""
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "broker.log").read_text()[-3000:]
        return speaks_kafka(f"{HOST}:{self.port}", seconds=1.0)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(10)


def await_answers(nodes: Sequence[Node]) -> None:
    """Return when all of them answer."""
    deadline = time.monotonic() + START_SECONDS
    for node in nodes:
        while not node.answers():
            assert time.monotonic() < deadline, f"broker {node.number} does not answer"
            time.sleep(0.05)


@contextmanager
def three_brokers(folder: Path) -> Iterator[tuple[Node, Node, Node]]:
    """Three running brokers that keep three replicas, of which two must have what is acknowledged."""
    *ports, controller_port = free_ports(4)
    first, second, third = (Node(i, folder / f"broker-{i}", port, controller_port) for i, port in enumerate(ports, 1))
    nodes = (first, second, third)
    try:
        for node in nodes:
            node.start()
        await_answers(nodes)
        yield nodes
    finally:
        for node in nodes:
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _directory_id() -> str:
    """A random id as Kafka writes them: 16 bytes, base64 for URLs, and no sign in front that its tools misread."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
