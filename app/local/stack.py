"""Driftline on one machine: Kafka found or started, and worker, API and recorder as supervised child processes."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import ExitStack
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import httpx

from app.kafka.coordinator import await_coordinator
from app.kafka.topics import ensure_topics
from app.local.find_kafka import find_kafka
from app.processes.ports import listen
from app.processes.private_files import keep_private, private_folder
from app.processes.supervisor import ChildCommand, ChildFailed, Supervisor
from app.settings.settings import Settings, environment

READY_SECONDS = 60.0


class NotReady(Exception):
    """Error: the stack did not become ready in time."""


class Stack:
    """Kafka and child processes, started on entering the context and stopped on leaving it.

    Afterwards `settings` name the Kafka that was found. Entering raises PortTaken, BrokerError, TopicError.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._held = ExitStack()
        self._supervisor: Supervisor | None = None

    @property
    def address(self) -> str:
        """Return the address of the API on this machine."""
        host = self.settings.api_host
        everywhere = ip_address(host).is_unspecified if host.replace(".", "").isdigit() else host == "::"
        return f"http://{'127.0.0.1' if everywhere else host}:{self.settings.api_port}"

    def __enter__(self) -> Self:
        listen(self.settings.api_host, self.settings.api_port).close()  # before anything is started
        keep_private()
        private_folder(self.settings.state_dir)
        with ExitStack() as held:
            kafka = held.enter_context(find_kafka(self.settings, keep=True))
            self.settings = self.settings.model_copy(update={"bootstrap_servers": kafka.bootstrap_servers})
            asyncio.run(self._prepare())
            supervisor = Supervisor(self.commands())
            held.enter_context(supervisor.stopped_by_signals())
            self._supervisor = held.enter_context(supervisor)
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def commands(self) -> list[ChildCommand]:
        """Return the commands of the child processes, which import no module of the working directory."""
        names = ["worker", "api", *(["recorder"] if self.settings.record_history else [])]
        start, env = [sys.executable, "-P", "-m", "driftline_server"], environment(self.settings)
        return [ChildCommand(name, [*start, name], env) for name in names]

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for SIGINT or SIGTERM (True) or the time (False). Raises ChildFailed."""
        assert self._supervisor is not None
        return self._supervisor.wait(seconds)

    def restarts(self) -> int:
        """Return how often child processes were started again."""
        assert self._supervisor is not None
        return sum(self._supervisor.restarts().values())

    def until_ready(self) -> None:
        """Wait until the API accepts events. Raises NotReady, ChildFailed, KeyboardInterrupt."""
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(f"{self.address}/ready?for=events"):
            if self.wait(0.2):
                raise KeyboardInterrupt
            if time.monotonic() > deadline:
                raise NotReady(f"the API at {self.address} is not ready after {READY_SECONDS:.0f} s")

    async def _prepare(self) -> None:
        await ensure_topics(self.settings)
        await await_coordinator(self.settings)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False


__all__ = ["ChildFailed", "NotReady", "Stack"]
