"""Lines of `driftline top` about records that are not counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.read_model.not_counted import NotCounted
    from app.read_model.summary import ModelSummary

NAMED = 3
"""Most model versions that one line names."""


def not_counted_lines(found: NotCounted) -> list[str]:
    """Return a line for each kind: dead letters beyond the bound, unregistered versions, truth without a prediction."""
    return list(_lines(found))


def _lines(found: NotCounted) -> Iterator[str]:
    beyond = [
        f"{one.model if one.registered else one.topic} {one.model_version if one.registered else 'of no model'} "
        f"{one.share:.0%} ({one.reason})"
        for one in found.set_aside
        if one.beyond
    ]
    if beyond:
        yield f"dead letters: {_some(beyond)}: driftline dead-letters list"
    strangers = [f"{one.name} ({one.count:,})" for one in found.unregistered]
    if strangers:
        yield f"not registered: {_some(strangers)}: driftline register"
    if found.unmatched is not None and found.unmatched.unmatched:
        yield f"truth without a prediction: {found.unmatched.unmatched:,} of the newest {found.unmatched.settled:,}"


def named(one: ModelSummary) -> str:
    """Return the name of a model version, marked with its share of dead letters."""
    share = one.dead_letter_share
    return f"{one.model} {one.model_version}{'' if share is None else f' [{share:.0%} dead letters]'}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
