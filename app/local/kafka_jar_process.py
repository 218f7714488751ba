"""Apache Kafka broker from its jars: KRaft, broker and controller in one process, on the loopback address."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.kafka.errors import BrokerError
from app.local.kafka_config import LOG4J, server_properties
from app.local.kafka_jars import Tell, find_java, kafka_jars, tell_on_stderr
from app.local.kafka_probe import free_ports, is_free, speaks_kafka
from app.local.kafka_record import BrokerRecord, is_alive
from app.processes.file_lock import file_lock
from app.processes.guarded import GuardedProcess
from app.processes.private_files import private_folder

HOST = "127.0.0.1"
JVM_FLAGS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
START_SECONDS = 60.0
STOP_SECONDS = 10.0
ATTEMPTS = 3
"""Attempts to start, since a free port may be taken between its choice and the broker's start."""


@dataclass(frozen=True)
class JarBroker:
    """Broker from the jars. `process` is None for a detached broker, or for one that another process started."""

    record: BrokerRecord
    data_dir: Path
    process: GuardedProcess | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Return the address on which the broker listens."""
        return f"{HOST}:{self.record.port}"

    def stop(self) -> None:
        """Stop the broker if this process started it and it is not detached."""
        if self.process is None or self.record.owner != os.getpid():
            return  # a fork of the owner is not the owner
        self.process.stop()
        BrokerRecord.forget(self.data_dir)


def start_from_jars(
    data_dir: Path, *, port: int | None = None, persistent: bool = False, tell: Tell = tell_on_stderr
) -> JarBroker:
    """Return the broker of `data_dir`: the running one, else a new one. Stop a leftover broker first.

    A `persistent` broker outlives this process. Raises BrokerError with one line.
    """
    data_dir = data_dir.absolute()
    private_folder(data_dir)
    with file_lock(data_dir / "broker.lock"):
        running = running_broker(data_dir)
        if running is not None:
            _same_port(running, port)
            return running
        stop_leftover(data_dir, tell)
        return _start(data_dir, port, persistent, tell)


def running_broker(data_dir: Path) -> JarBroker | None:
    """Return the running broker of `data_dir` if it is persistent or its owner lives; None otherwise."""
    record = BrokerRecord.read(data_dir)
    if record is None or not record.is_wanted(data_dir):
        return None
    broker = JarBroker(record, data_dir)
    return broker if speaks_kafka(broker.bootstrap_servers) else None


def stop_leftover(data_dir: Path, tell: Tell = tell_on_stderr) -> bool:
    """Stop the recorded broker of `data_dir`, also if another process started it. Return whether one ran."""
    record = BrokerRecord.read(data_dir)
    if record is None:
        return False
    ran = is_alive(record.pid, data_dir)
    if ran:
        tell(f"stopping the Kafka broker of {data_dir} (process {record.pid}) ...")
        _end(record.pid, data_dir)
    BrokerRecord.forget(data_dir)
    return ran


def _same_port(running: JarBroker, port: int | None) -> None:
    if port not in (None, running.record.port):
        raise BrokerError(
            f"the broker of {running.data_dir} already runs on port {running.record.port}, not {port}: "
            "stop it (driftline broker down) or leave the port out"
        )


def _start(data_dir: Path, port: int | None, persistent: bool, tell: Tell) -> JarBroker:
    if port is not None and not is_free(port):
        raise BrokerError(f"port {port} is taken: stop what listens there, or set another with DRIFTLINE_BROKER_PORT")
    java = find_java()
    classpath = f"{kafka_jars(tell=tell)}/*"
    (data_dir / "log4j2.properties").write_text(LOG4J)
    command = [java, *JVM_FLAGS, f"-Dlog4j2.configurationFile={data_dir / 'log4j2.properties'}", "-cp", classpath]
    for attempt in range(1, ATTEMPTS + 1):
        broker_port, controller_port = _ports(port)
        properties = data_dir / "server.properties"
        properties.write_text(server_properties(data_dir / "data", broker_port, controller_port))
        _format(command, data_dir, properties)
        try:
            return _launch([*command, "kafka.Kafka", str(properties)], data_dir, broker_port, persistent)
        except BrokerError:
            taken = "Address already in use" in _log(data_dir)
            if not taken or attempt == ATTEMPTS:
                raise
    raise AssertionError("the last attempt answers or raises")


def _ports(port: int | None) -> tuple[int, int]:
    if port is None:
        first, second = free_ports(2)
        return first, second
    return port, free_ports(1, but=[port])[0]


def _format(command: Sequence[str], data_dir: Path, properties: Path) -> None:
    """Format the data folder once. Remove the rest of an interrupted formatting, in which no broker has run."""
    formatted = data_dir / "formatted"
    if formatted.exists() and (data_dir / "data" / "meta.properties").exists():
        return
    shutil.rmtree(data_dir / "data", ignore_errors=True)
    tool = [*command, "kafka.tools.StorageTool"]
    arguments = ["format", "-t", "RHJpZnRsaW5lTG9jYWxLYQ", "-c", str(properties)]
    done = subprocess.run([*tool, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr + done.stdout).strip().splitlines() or ["it does not say why"]
        raise BrokerError(f"Kafka cannot format {data_dir / 'data'}: {said[-1]}")
    formatted.touch()


def _launch(command: Sequence[str], data_dir: Path, port: int, persistent: bool) -> JarBroker:
    process = None
    if persistent:
        record = BrokerRecord(pid=_detached(command, data_dir / "broker.log"), port=port, owner=None)
    else:
        with (data_dir / "broker.log").open("wb") as log:
            process = GuardedProcess(command, stdout=log, stderr=log, grace=STOP_SECONDS)
        record = BrokerRecord(pid=process.pid, port=port, owner=os.getpid())
    broker = JarBroker(record, data_dir, process)
    try:
        record.write(data_dir)
        _await_answer(broker)
    except BaseException:
        if process is not None:
            process.stop()
        _end(record.pid, data_dir)
        BrokerRecord.forget(data_dir)
        raise
    return broker


def _detached(command: Sequence[str], log: Path) -> int:
    """Start a command as a child of no living process, through a shell that ends. Return its pid."""
    shell = ["sh", "-c", 'log=$1; shift; "$@" < /dev/null > "$log" 2>&1 & echo $!', "sh", str(log), *command]
    started = subprocess.run(shell, stdout=subprocess.PIPE, text=True, start_new_session=True, check=True)
    return int(started.stdout)


def _await_answer(broker: JarBroker) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not is_alive(broker.record.pid, broker.data_dir):
            raise BrokerError(f"Kafka ended at its start: {_why(broker.data_dir)}")
        if speaks_kafka(broker.bootstrap_servers, seconds=1.0):
            return
        time.sleep(0.05)
    raise BrokerError(f"Kafka does not answer after {START_SECONDS:.0f} s: see {broker.data_dir / 'broker.log'}")


def _why(data_dir: Path) -> str:
    lines = [line for line in _log(data_dir).splitlines() if "Exception" in line or "Error" in line or "FATAL" in line]
    return f"{lines[-1].strip() if lines else 'it does not say why'} (see {data_dir / 'broker.log'})"


def _log(data_dir: Path) -> str:
    return (data_dir / "broker.log").read_text(errors="replace")


def _end(pid: int, data_dir: Path) -> None:
    """Send SIGTERM, then SIGKILL, and wait until the process has ended."""
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        if not is_alive(pid, data_dir):
            return
        os.kill(pid, number)
        while is_alive(pid, data_dir) and time.monotonic() < deadline:
            time.sleep(0.05)
