"""Child process that ends with its parent, however the parent ends (see `guard.py`)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

GUARD = Path(__file__).with_name("guard.py")
Stream = int | IO[bytes] | None


class GuardedProcess:
    """Running command. `pid` is the command's own; the guard in between must never be signalled."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = None,
        stderr: Stream = None,
        grace: float = 10.0,
    ) -> None:
        """Start `command` in a session of its own, so that Ctrl-C reaches only the parent. Raises OSError."""
        self._closing = threading.Lock()
        life, self._life = os.pipe()
        reported, report = os.pipe()
        argv = [sys.executable, "-I", "-S", str(GUARD), str(life), str(report), str(grace), *command]
        try:
            self._guard = subprocess.Popen(
                argv,
                env=env,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(life, report),
                start_new_session=True,
            )
        except BaseException:
            os.close(reported)
            os.close(self._life)
            raise
        finally:
            os.close(life)
            os.close(report)
        with os.fdopen(reported, "rb") as pipe:
            told = pipe.readline().decode().strip()
        if not told.isdigit():
            self.kill()
            if self._guard.stderr is not None:
                self._guard.stderr.close()
            raise OSError(told or f"{command[0]}: could not be started")
        self.pid = int(told)
        self._grace = grace

    @property
    def guard_pid(self) -> int:
        """Return the pid of the guard."""
        return self._guard.pid

    @property
    def stderr(self) -> IO[bytes] | None:
        """Return the command's standard error, if it was started with PIPE."""
        return self._guard.stderr

    def poll(self) -> int | None:
        """Return the exit status, 128 + n where signal n ended the command; None while it runs."""
        return _shell_status(self._guard.poll())

    def wait(self, seconds: float | None = None) -> int:
        """Wait for the exit status and return it. Raises subprocess.TimeoutExpired."""
        status = _shell_status(self._guard.wait(seconds))
        self.let_go()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to the command, if it still runs."""
        if self._guard.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self) -> int:
        """Send SIGTERM, and SIGKILL after the grace. Return the exit status. May be called again."""
        self.let_go()
        try:
            return self.wait(self._grace + 2)
        except subprocess.TimeoutExpired:
            self.send_signal(signal.SIGKILL)
            self.kill()
            return self.wait()

    def kill(self) -> None:
        """Send SIGKILL at once."""
        self.let_go()
        self._guard.kill()
        self._guard.wait()

    def let_go(self) -> None:
        """Begin to stop the command, as `stop` does, without waiting."""
        with self._closing:
            life, self._life = self._life, -1
        if life >= 0:
            os.close(life)


def _shell_status(status: int | None) -> int | None:
    return 128 - status if status is not None and status < 0 else status
