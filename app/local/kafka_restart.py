"""Broker from the jars that is started again, on the same port, when it ends by itself."""

from __future__ import annotations

import os
import threading
import time

from app.kafka.errors import BrokerError
from app.local.kafka_jar_process import JarBroker, start_from_jars
from app.local.kafka_jars import Tell
from app.processes.supervisor import Backoff, reason_of


class KeptBroker:
    """Supervises a broker that this process has started, until `stop`.

    `tell` receives a line when the broker has ended, when it runs again, and when it cannot be started.
    """

    def __init__(self, broker: JarBroker, tell: Tell) -> None:
        self._broker = broker
        self._tell = tell
        self._owner = os.getpid()
        self._stopping = threading.Event()
        self._held = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="keep-kafka", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the broker and its supervision. May be called again."""
        self._stopping.set()
        if os.getpid() != self._owner:
            return  # a fork of the owner is not the owner
        with self._held:  # wait for a start in progress, so that no broker is left running
            self._broker.stop()

    def _keep(self) -> None:
        backoff = Backoff()
        while self._broker.process is not None:
            began = time.monotonic()
            status = self._broker.process.wait()
            if self._stopping.is_set():
                return
            port = self._broker.record.port
            delay = backoff.after(time.monotonic() - began)
            self._tell(f"Kafka ended ({reason_of(status)}); it is started again on port {port} in {delay:.1f} s")
            while not self._stopping.wait(delay) and not self._start(port):
                delay = backoff.after(0.0)
            if self._stopping.is_set():
                return

    def _start(self, port: int) -> bool:
        with self._held:
            if self._stopping.is_set():
                return True
            try:
                self._broker = start_from_jars(self._broker.data_dir, port=port, tell=self._tell)
            except (BrokerError, OSError) as error:
                self._tell(f"Kafka cannot be started again: {error}; it is tried again")
                return False
        self._tell(f"Kafka runs again on port {port}")
        return True
