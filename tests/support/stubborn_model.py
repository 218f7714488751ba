"""A model that hangs or crashes on request, in a module that a process of its own loads quickly."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from typing import Any

HANGS, CRASHES, FAILS, PID = 13.0, 14.0, 15.0, 16.0
"""Ages at which it holds Python's lock for ever, is killed by a fault, raises an error, and tells its process."""


class Stubborn:
    """Twice the age, and a version's own number added."""

    def __init__(self, added: float) -> None:
        self.added = added

    def predict(self, frame: Any) -> Any:
        """Return twice the ages, or do what an age asks for."""
        ages = frame["age"].to_numpy()
        if HANGS in ages:
            ctypes.PyDLL(None).sleep(1000)
        if CRASHES in ages:
            os.kill(os.getpid(), signal.SIGSEGV)
        if FAILS in ages:
            raise RuntimeError("canary-4711 in its words")
        if PID in ages:
            return ages * 0.0 + os.getpid()
        return 2 * ages + self.added


class Locked(Stubborn):
    """A model that cannot be pickled once it is loaded."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"lock": threading.Lock()}
