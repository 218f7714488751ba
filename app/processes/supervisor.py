"""Supervisor of commands: restarts ended ones, stops all of them together, and lets none outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import IO, Self

from app.processes.guarded import GuardedProcess

__all__ = ["Backoff", "ChildCommand", "ChildFailed", "Supervisor", "reason_of"]

NO_RESTART = os.EX_CONFIG
"""Exit status (78) of a child that another start would not help: its last line on stderr names the reason."""

LEFT_STOPPED = os.EX_DATAERR
"""Exit status (65) of a child that somebody has to decide about: it is left stopped, and the others go on."""

GRACE_SECONDS = 8.0
Tell = Callable[[str], None]


class ChildFailed(Exception):
    """A child ended with EX_CONFIG. The message has its name and its last line."""


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """Command to keep running. `env` is its whole environment (None: this process's)."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None


@dataclass(slots=True)
class Backoff:
    """Wait before the next start: doubles from `first` to `longest`, and begins again after `healthy` seconds."""

    first: float = 0.2
    longest: float = 10.0
    healthy: float = 30.0
    _next: float = field(default=0.0, init=False)

    def after(self, ran: float) -> float:
        """Return the seconds to wait after a child that ran for `ran` seconds."""
        delay = self.first if ran >= self.healthy or not self._next else self._next
        self._next = min(delay * 2, self.longest)
        return delay


class Supervisor:
    """Supervisor of commands as child processes. Leaving the context stops them."""

    def __init__(
        self, commands: Sequence[ChildCommand], *, tell: Tell | None = None, backoff: Backoff | None = None
    ) -> None:
        """Create the children. `tell` gets a line for each restart (default: standard error).

        `backoff` is copied for each child.
        """
        self._ended = threading.Event()
        model = backoff or Backoff()
        self._children = [
            _Child(command, Backoff(model.first, model.longest, model.healthy), tell or _tell, self._ended)
            for command in commands
        ]

    def start(self) -> None:
        """Start all commands. Raises OSError where one cannot be started at all."""
        try:
            for child in self._children:
                child.start()
        except BaseException:
            self.stop()
            raise

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until `stop` is called (True) or the time has passed (False). Raises ChildFailed."""
        ended = self._ended.wait(seconds)
        for child in self._children:
            if child.failure is not None:
                raise ChildFailed(child.failure)
        return ended

    def stop(self) -> None:
        """Send SIGTERM to all, and SIGKILL to those left, within ten seconds. May be called again."""
        for child in self._children:
            child.let_go()
        for child in self._children:
            child.stop()
        self._ended.set()

    def run(self) -> None:
        """Start the commands and keep them running until SIGINT, SIGTERM or ChildFailed; main thread only."""
        with self.stopped_by_signals(), self:
            self.wait()

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Make `wait` return on SIGINT and SIGTERM within this context; main thread only."""

        def end(_number: int, _frame: FrameType | None) -> None:
            self._ended.set()

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pids(self) -> dict[str, int]:
        """Return the pids of the children that run now, by name."""
        running = {child.command.name: child.pid for child in self._children}
        return {name: pid for name, pid in running.items() if pid is not None}

    def restarts(self) -> dict[str, int]:
        """Return the number of restarts of each child, by name."""
        return {child.command.name: child.restarts for child in self._children}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _Child:
    """One command, and the thread that restarts it."""

    def __init__(self, command: ChildCommand, backoff: Backoff, tell: Tell, ended: threading.Event) -> None:
        self.command = command
        self.restarts = 0
        self.failure: str | None = None
        self._backoff = backoff
        self._tell = tell
        self._ended = ended
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._process: GuardedProcess | None = None
        self._errors: _Errors | None = None
        self._thread = threading.Thread(target=self._keep, name=f"supervise-{command.name}", daemon=True)

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        self._spawn()
        self._thread.start()

    def let_go(self) -> None:
        with self._starting:
            self._stopping.set()
            if self._process is not None:
                self._process.let_go()

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(1)

    def _spawn(self) -> None:
        with self._starting:
            if self._stopping.is_set():
                return
            self._process = GuardedProcess(
                self.command.argv, env=self.command.env, stderr=subprocess.PIPE, grace=GRACE_SECONDS
            )
        assert self._process.stderr is not None
        self._errors = _Errors(self._process.stderr)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            assert self._process is not None
            assert self._errors is not None
            started = time.monotonic()
            status = self._process.wait()
            if self._stopping.is_set():
                return
            if status == NO_RESTART:
                self.failure = f"{self.command.name}: {self._errors.last() or 'it cannot run, and does not say why'}"
                self._ended.set()
                return
            if status == LEFT_STOPPED:
                self._tell(f"{self.command.name} is left stopped: {self._errors.last()}")
                return
            delay = self._backoff.after(time.monotonic() - started)
            self._tell(f"{self.command.name} ended ({reason_of(status)}); it is started again in {delay:.1f} s")
            if self._stopping.wait(delay):
                return
            self.restarts += 1
            self._spawn()


class _Errors:
    """Copy of a child's standard error to this process's, with a note of its last line."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._last = b""
        self._thread = threading.Thread(target=self._copy, args=(pipe,), daemon=True)
        self._thread.start()

    def last(self) -> str:
        self._thread.join(1)  # the output just before its end
        return self._last.decode(errors="replace").strip()

    def _copy(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                self._last = line if line.strip() else self._last
                os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, line)


def reason_of(status: int) -> str:
    """Return how a process ended, by its exit status: a signal's name, or the status."""
    return signal.Signals(status - 128).name if 128 < status < 128 + 65 else f"exit status {status}"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
