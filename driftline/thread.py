"""The sending thread: started with the first event; without it, `close` sends the events."""

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
"""Seconds between two attempts to start a thread."""


class SendingThread:
    """Thread that runs a sender until its buffer is closed. `inbox`: whether events may go into the inbox meanwhile."""

    def __init__(self, sender: Sender, buffer: Buffer, account: Account, *, inbox: bool) -> None:
        self._sender, self._buffer, self._account, self._inbox = sender, buffer, account, inbox
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._next = 0.0
        self.unable = ""

    @property
    def runs(self) -> bool:
        """Return whether the thread was started."""
        return self._thread is not None

    def start(self, close: Callable[[], object]) -> None:
        """Start the thread, and register `close` for the end of the process. Never raises.

        Where no thread can be started, events are kept, and a later call tries again.
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
        """Wait for the thread, which ends at the buffer's deadline; without a thread, send the waiting events here."""
        held = self._lock.acquire(timeout=max(0.0, seconds))  # a start may be running at this moment
        try:
            if self._thread is None:
                self._sender.run()
            else:
                self.join(seconds + 1.0)
        finally:
            if held:
                self._lock.release()

    def join(self, seconds: float) -> None:
        """Wait until the thread has ended, unless this is the thread itself: `on_loss` may close the client."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)
