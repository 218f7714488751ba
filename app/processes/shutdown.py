"""Bounded end of a process that has got a signal to stop."""

from __future__ import annotations

import os
import threading

LAST_SECONDS = 7.5
"""Seconds after a signal at which a process ends, whatever is stuck: otherwise it would be killed soon after."""


def end_at_last() -> None:
    """End the process if stopping takes too long. Unfinished work is read again: the state is safe against this."""
    last = threading.Timer(LAST_SECONDS, os._exit, (0,))
    last.daemon = True
    last.start()
