"""The end of a process that has been told to stop."""

from __future__ import annotations

import os
import threading

LAST_SECONDS = 7.5
"""After a signal a process is gone by then, whatever hangs: whoever stops it would kill it soon after."""


def end_at_last() -> None:
    """End the process when its end takes too long. What was not finished is read again: the state bears it."""
    last = threading.Timer(LAST_SECONDS, os._exit, (0,))
    last.daemon = True
    last.start()
