"""What the client writes to the log."""

from __future__ import annotations

import contextlib
import logging

log = logging.getLogger("driftline")


def warn(message: str, *values: object) -> None:
    """Log a warning. Never raises, whatever the handlers do: they are other people's, and so is the caller's thread."""
    with contextlib.suppress(Exception):
        log.warning(message, *values)
