"""A reader as a process of its own, and what it tells: how many events it took in how many seconds."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from app.processes.guarded import GuardedProcess


class ReaderFailed(Exception):
    """A reader ended without its figures."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Events between the clock's start and its end; wall clock and the reading process's own CPU, in seconds."""

    events: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def microseconds(self) -> float:
        """CPU time of the reading process for each event."""
        return self.cpu / self.events * 1e6

    def tell(self) -> None:
        """Print them for `figures_of`."""
        print(msgspec.json.encode(asdict(self)).decode(), flush=True)


class Clock:
    """Starts with the first events taken, which are not counted: start-up and the first fetch are left out."""

    def __init__(self) -> None:
        self._started = self._cpu = 0.0
        self._first = 0

    def start(self, taken: int) -> None:
        """Start; `taken` events have come already."""
        self._first, self._started, self._cpu = taken, time.monotonic(), time.process_time()

    def stop(self, taken: int) -> Figures:
        """Figures of what came since the start, `taken` in all."""
        return Figures(taken - self._first, time.monotonic() - self._started, time.process_time() - self._cpu)


def last_words(log: Path) -> str:
    """The last line of a log, for who asks why a process ended."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "it does not say why"


def figures_of(module: str, arguments: Sequence[str], seconds: float, python: str = sys.executable) -> Figures:
    """Run a reader (`python -m benchmarks.<module>`) and answer its figures. Raises ReaderFailed, OSError."""
    command = [python, "-W", "ignore", "-m", f"benchmarks.{module}", *arguments]
    with tempfile.TemporaryFile() as said:
        process = GuardedProcess(command, stdout=said, stderr=said)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ReaderFailed(f"{module}: not ready after {seconds:.0f} s") from None
        finally:
            process.stop()
        said.seek(0)
        lines = said.read().decode().strip().splitlines()
    for line in reversed(lines):
        if line.startswith("{"):
            return msgspec.json.decode(line, type=Figures)
    raise ReaderFailed(f"{module}: {lines[-1] if lines else 'it does not say why'}")
