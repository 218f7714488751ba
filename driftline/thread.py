"""The sending thread: started with the first event, and done without where a process can have no more threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from driftline import exits
from driftline.account import Account
from driftline.buffer import Buffer
from driftline.sender import Sender
from driftline.warning import warn

RESTART_SECONDS = 1.0
"""Between two attempts at starting a thread."""


class SendingThread:
    """Runs a sender until its buffer is closed. `inbox`: whether events may go into the buffer's inbox meanwhile."""

    def __init__(self, sender: Sender, buffer: Buffer, account: Account, *, inbox: bool) -> None:
        self._sender, self._buffer, self._account, self._inbox = sender, buffer, account, inbox
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._next = 0.0
        self.unable = ""

    @property
    def runs(self) -> bool:
        """Whether it was started."""
        return self._thread is not None

    def start(self, close: Callable[[], object]) -> None:
        """Start it, and have `close` called when the process ends. Never raises.

        Where none can be started, events are kept, and this tries again when it is called later.
        """
        if time.monotonic() < self._next or not self._lock.acquire(blocking=False):
            return
        try:
            if self._thread is not None or self._buffer.closed:
                return
            if not exits.watch(close):
                self._keep("the interpreter is exiting, and does not close this client")
            self._account.open()
            self._buffer.count_in(self._account)
            thread = threading.Thread(target=self._sender.run, name="driftline", daemon=True)
            thread.start()
            self._thread, self.unable = thread, ""
            if self._inbox:
                self._buffer.open()
        except Exception as error:  # noqa: BLE001 - RuntimeError, MemoryError: the process may have no more threads
            self._next = time.monotonic() + RESTART_SECONDS
            self._keep(f"no thread can be started ({error})")
        finally:
            self._lock.release()

    def _keep(self, reason: str) -> None:
        """Log once why events are kept."""
        if not self.unable:
            warn("%s: events are kept while there is room, and sent by close()", reason)
        self.unable = reason

    def finish(self, seconds: float) -> None:
        """Wait for it, which ends with the buffer's time; where none was started, send what waits in this thread."""
        held = self._lock.acquire(timeout=max(0.0, seconds))  # it may be starting at this moment
        try:
            if self._thread is None:
                self._sender.run()
            else:
                self.join(seconds + 1.0)
        finally:
            if held:
                self._lock.release()

    def join(self, seconds: float) -> None:
        """Wait until it has ended, unless this is the thread itself: `on_loss` may close the client."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)
