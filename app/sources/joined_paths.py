"""`join` of plain paths over a run of records: the ids of events that have their own in several members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.sources.paths import RunDocuments, Steps

_TEXTS = frozenset({str})
_WRITTEN_ALIKE = frozenset({str, int})
"""Types that `to_string` writes as `str` does; JSON writes others in another form."""


@dataclass(frozen=True, slots=True)
class PathPart:
    """A plain path in a list of texts; `is_converted`: by `to_string`."""

    steps: Steps
    is_converted: bool


@dataclass(frozen=True, slots=True)
class JoinedPaths:
    """An expression such as `join('-', [id, to_string(index), 'x'])`, of at least one plain path."""

    separator: str
    parts: tuple[str | PathPart, ...]

    def column(self, run: RunDocuments) -> Sequence[str] | None:
        """Return the text of each document; None if a value is of a type that only the interpreter handles."""
        columns: list[Any] = []
        for part in self.parts:
            if isinstance(part, str):
                columns.append(repeat(part, len(run)))
                continue
            values = run.at(part.steps)
            if not set(map(type, values)) <= (_WRITTEN_ALIKE if part.is_converted else _TEXTS):
                return None
            columns.append(map(str, values) if part.is_converted else values)
        return list(map(self.separator.join, zip(*columns, strict=True)))


def joined_of(node: Mapping[str, Any], steps_of: Any) -> JoinedPaths | None:
    """Return the join that a parsed expression is; None if it is none, or one of other expressions.

    `steps_of` returns the steps of a parsed plain path.
    """
    if node["type"] != "function_expression" or node["value"] != "join" or len(node["children"]) != 2:
        return None
    separator, texts = node["children"]
    if separator["type"] != "literal" or texts["type"] != "multi_select_list":
        return None
    if not isinstance(separator["value"], str):
        return None
    parts = [_part(child, steps_of) for child in texts["children"]]
    if None in parts or not any(isinstance(part, PathPart) for part in parts):
        return None
    return JoinedPaths(separator["value"], tuple(part for part in parts if part is not None))


def _part(node: Mapping[str, Any], steps_of: Any) -> str | PathPart | None:
    if node["type"] == "literal":
        text = node["value"]
        return text if isinstance(text, str) else None
    converted = node["type"] == "function_expression" and node["value"] == "to_string" and len(node["children"]) == 1
    steps = steps_of(node["children"][0] if converted else node)
    return None if steps is None else PathPart(steps, converted)
