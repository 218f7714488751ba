"""Version of all data in the topics."""

from __future__ import annotations

WIRE_VERSION = "1.0"
"""Major: earlier data or earlier readers no longer fit. Minor: an addition. docs/wire-changes.md lists the changes."""
