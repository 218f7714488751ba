"""Lines about events of model versions that are not registered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from app.core.config.close_names import did_you_mean
from app.telemetry.printable import one_line

Version = tuple[str, str]
"""A model and its version."""
MOST_LINES, MOST_VERSIONS = 5, 5
"""Model versions that one response reports, and registered versions that a line lists."""


def unregistered_lines(counts: Mapping[Version, int], registered: Collection[Version]) -> Iterator[str]:
    """Return a line for each unregistered model version, with the registered one that was meant.

    `counts`: events of each. `registered`: every version that the sender may know of.
    """
    for model, version in sorted(counts)[:MOST_LINES]:
        n = counts[model, version]
        events = "1 event is" if n == 1 else f"{n:,} events are"
        hint = _meant(model, version, registered)
        yield one_line(f"{model} {version} is not registered, so {events} not counted until it is{hint}")
    if len(counts) > MOST_LINES:
        yield f"{len(counts) - MOST_LINES:,} further model versions are not registered"


def _meant(model: str, version: str, registered: Collection[Version]) -> str:
    versions = [its for name, its in registered if name == model]
    if not versions:
        return did_you_mean(model, {name for name, _ in registered}, before="; ")
    listed = ", ".join(versions[-MOST_VERSIONS:])
    return did_you_mean(version, versions, f"{model} ", before="; ") or f"; registered are {listed}"
