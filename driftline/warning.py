"""Warnings of the client."""

from __future__ import annotations

import contextlib
import logging

log = logging.getLogger("driftline")


def warn(message: str, *values: object) -> None:
    """Log a warning. Never raises, whatever the handlers do: handlers and thread belong to the caller's program."""
    with contextlib.suppress(Exception):
        log.warning(message, *values)
