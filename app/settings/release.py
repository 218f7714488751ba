"""Which Driftline this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """The installed version."""
    try:
        return version("driftline")
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "unknown"
