"""The version of all that travels in the topics."""

from __future__ import annotations

WIRE_VERSION = "1.0"
"""Major: what was written or read before no longer fits. Minor: there is more. docs/wire-changes.md says what."""
