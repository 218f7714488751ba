"""Installed release of Driftline."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """Return the installed version, or `unknown` for a source tree."""
    try:
        return version("driftline-server")
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "unknown"
