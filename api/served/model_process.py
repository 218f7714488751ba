"""A model in processes of its own: a process that hangs or crashes is ended and started again."""

from __future__ import annotations

import io
import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from app.processes.guarded import GuardedProcess
from app.processes.supervisor import Backoff, reason_of
from app.serving import Bundle, Predicted, PredictionFailed, UnfitRows
from app.serving.types import Scalar
from app.settings.sources import ENV_PREFIX
from app.telemetry import metrics

log = logging.getLogger(__name__)

START_SECONDS = 300.0
"""Limit in seconds of a process's start, until the model can predict."""
END_SECONDS = 5.0
"""Limit in seconds of the wait for a killed process to end."""

Rows = Sequence[Mapping[str, Scalar]]


class ModelLost(RuntimeError):
    """A request without a reply: its process hung and was ended, ended by itself, or has not started yet."""

    def __init__(self, words: str, *, hung: bool = False) -> None:
        super().__init__(words)
        self.hung = hung


class ModelRaised(RuntimeError):
    """An error that the model raised in its process. `kind`: the error's type; `told`: its text for a log."""

    def __init__(self, kind: str, told: str) -> None:
        super().__init__(kind)
        self.kind, self.told = kind, told


class ModelProcesses:
    """Several processes with the same model, each for one request at a time. Thread-safe."""

    def __init__(self, bundle: Bundle, processes: int) -> None:
        """Start the processes. Raises the error of a bundle that cannot be pickled."""
        import joblib  # scikit-learn is half of the API's start, and most APIs serve no model

        content = io.BytesIO()
        joblib.dump(bundle, content)
        name = f"model {bundle.training.model} {bundle.training.model_version}"
        metrics.API_PREDICT_RESTARTS.labels(bundle.training.model)  # at 0, so that the first restart is visible
        self._all = [_Process(name, bundle.training.model, content.getvalue()) for _ in range(processes)]
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        for one in self._all:
            self._idle.put(one)

    def predict(self, rows: Rows, seconds: float) -> list[Predicted]:
        """Return a prediction for each row. As many calls run at once as there are processes.

        Raises ModelLost, also after `seconds`; UnfitRows, PredictionFailed and ModelRaised.
        """
        one = self._idle.get()
        try:
            return _predicted(one.ask(rows, seconds))
        finally:
            self._idle.put(one)

    def started(self) -> str:
        """Wait until each process has tried to start. Returns why no process is ready; empty where one is."""
        for one in self._all:
            one.tried.wait(START_SECONDS)
        return self.trouble

    @property
    def trouble(self) -> str:
        """Return why no process is ready now; empty where one is."""
        return "" if any(one.is_ready for one in self._all) else self._all[0].trouble

    @property
    def pids(self) -> list[int]:
        """Return the ids of the processes that run now."""
        return [one.pid for one in self._all if one.pid is not None]

    def close(self) -> None:
        """End all processes at once."""
        for one in self._all:
            one.close()


class _Process:
    """One process with the model, and the thread that restarts it whenever it ends."""

    def __init__(self, name: str, model: str, content: bytes) -> None:
        self.tried = threading.Event()
        """Set once a start has succeeded or failed."""
        self.trouble = f"{name} is being started in its process"
        self._name, self._model, self._content = name, model, content
        self._ready, self._closed = threading.Event(), threading.Event()
        self._changing = threading.Lock()
        self._process: GuardedProcess | None = None
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def ask(self, rows: Rows, seconds: float) -> tuple[Any, ...]:
        """Return the process's reply (see `model_child`). Raises ModelLost."""
        until = time.monotonic() + seconds
        if not self._ready.wait(seconds):
            raise ModelLost(self.trouble)
        process, connection = self._process, self._connection
        assert process is not None
        assert connection is not None
        try:
            connection.send(rows)
            if connection.poll(max(0.0, until - time.monotonic())):
                reply: tuple[Any, ...] = connection.recv()
                return reply
        except (EOFError, OSError):
            self._lost(process)
            how = _gone(process)
            raise ModelLost(f"the model's process ended while it predicted ({how}); it is started again") from None
        self._lost(process)
        log.error("%s: its process has not answered within %g s (predict_seconds), and is ended", self._name, seconds)
        _gone(process, 0.0)
        raise ModelLost(
            f"the model has not answered within {seconds:g} s (predict_seconds); its process was ended and is started "
            "again", hung=True,
        )  # fmt: skip

    def _lost(self, process: GuardedProcess) -> None:
        """Send no more requests to a process; a process that has replaced it by now stays ready."""
        with self._changing:
            if self._process is process:
                self._ready.clear()

    def close(self) -> None:
        self._closed.set()
        process = self._process
        if process is not None:
            process.send_signal(signal.SIGKILL)
        self._thread.join(END_SECONDS)

    def _keep(self) -> None:
        """Start the process, wait for its end, and start it again, until this object is closed."""
        backoff = Backoff()
        while not self._closed.is_set():
            began = time.monotonic()
            wrong = self._started()
            if wrong:
                self.trouble = f"{self._name} cannot be started in its process: {wrong}"
            else:
                self._ready.set()
                self.tried.set()
                assert self._process is not None
                how = reason_of(self._process.wait())
                self._lost(self._process)
                self.trouble = f"{self._name} is being started again: its process ended ({how})"
                metrics.API_PREDICT_RESTARTS.labels(self._model).inc(not self._closed.is_set())
            self.tried.set()
            delay = backoff.after(time.monotonic() - began)
            if not self._closed.is_set():
                log.error("%s; it is started again in %.1f s", self.trouble, delay)
            self._closed.wait(delay)

    def _started(self) -> str:
        """Start the process, and send the model to it. Returns why the process is not ready; empty where it is."""
        try:
            process, connection = self._spawned()
        except OSError as error:
            return str(error)
        try:
            connection.send_bytes(self._content)
            if not connection.poll(START_SECONDS):
                _gone(process, 0.0)
                return f"the model was not loaded within {START_SECONDS:g} s"
            word, *told = connection.recv()
        except (EOFError, OSError):
            return f"it ended before it had loaded the model ({_gone(process)})"
        if word == "ready":
            return ""
        _gone(process)
        return str(told[-1])

    def _spawned(self) -> tuple[GuardedProcess, Connection]:
        """Start a process whose standard input is the other end of the connection. Raises OSError."""
        mine, its = socket.socketpair()
        connection = Connection(mine.detach())
        with its:
            process = GuardedProcess(
                [sys.executable, "-P", "-m", "driftline_server.model_child"],
                env=_environment(),
                stdin=its.fileno(),
                grace=0.0,
            )
        with self._changing:
            self._process, self._connection = process, connection
        if self._closed.is_set():  # closed during the start
            process.send_signal(signal.SIGKILL)
        return process, connection


def _gone(process: GuardedProcess, seconds: float = 1.0) -> str:
    """Return how a process ended. A process that still runs after `seconds` is killed."""
    if seconds:
        try:
            return reason_of(process.wait(seconds))
        except subprocess.TimeoutExpired:
            pass
    process.send_signal(signal.SIGKILL)
    try:
        return reason_of(process.wait(END_SECONDS))
    except subprocess.TimeoutExpired:
        process.kill()
        return reason_of(process.wait())


def _environment() -> dict[str, str]:
    """Return this process's environment and module path, without Driftline's settings: some of them are secrets.

    PYTHONSAFEPATH is for the processes that the model starts (joblib's): they inherit no flag.
    """
    path = os.pathsep.join(one or str(Path.cwd()) for one in sys.path)
    return {name: v for name, v in os.environ.items() if not name.startswith(ENV_PREFIX)} | {
        "PYTHONPATH": path, "PYTHONSAFEPATH": "1",
    }  # fmt: skip


def _predicted(reply: tuple[Any, ...]) -> list[Predicted]:
    """Return the predictions of a reply. Raises the model's error."""
    word, *told = reply
    if word == "predicted":
        found: list[Predicted] = told[0]
        return found
    if word == "unfit":
        raise UnfitRows(told[0])
    if word == "no prediction":
        raise PredictionFailed(told[0])
    raise ModelRaised(told[0], told[1])
