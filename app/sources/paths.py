"""JMESPath over a run of records: plain paths step by step for all records, other expressions record by record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from app.sources.joined_paths import JoinedPaths, joined_of

FAILURES = (JMESPathError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""Errors of JMESPath for values that an expression does not accept; text beside a number is a TypeError."""

Step = str | int
"""A member's name, or an index."""
Steps = tuple[Step, ...]


class RunDocuments:
    """The documents of a run, with the values found by each plain path and each of its beginnings."""

    def __init__(self, documents: Sequence[Any]) -> None:
        self.documents = documents
        self._found: dict[Steps, Sequence[Any]] = {(): documents}

    def __len__(self) -> int:
        return len(self.documents)

    def at(self, steps: Steps) -> Sequence[Any]:
        """Return each document's value at a plain path, None where there is none."""
        found = self._found.get(steps)
        if found is None:
            found = self._found[steps] = _step(self.at(steps[:-1]), steps[-1])
        return found


def _step(values: Sequence[Any], step: Step) -> list[Any]:
    """Return each value's member or element as JMESPath does; None where there is none."""
    if isinstance(step, int):
        return [_element(value, step) for value in values]
    try:
        return list(map(itemgetter(step), values))
    except (LookupError, TypeError):
        return [value.get(step) if isinstance(value, dict) else None for value in values]


def _element(value: Any, index: int) -> Any:
    if not isinstance(value, list):
        return None
    try:
        return value[index]
    except IndexError:
        return None


@dataclass(frozen=True, slots=True)
class CompiledPath:
    """A JMESPath expression. `steps` are those of a plain path (`a.b`, `a[0].b`), None for other expressions.

    `joined` is set for a join of plain paths.
    """

    text: str
    steps: Steps | None
    joined: JoinedPaths | None = None

    @classmethod
    def compile(cls, text: str, *, plain: bool = True) -> CompiledPath:
        """Compile an expression, to be interpreted in any case unless `plain`. Raises JMESPathError."""
        parsed = jmespath.compile(text).parsed
        return cls(text, _steps_of(parsed), joined_of(parsed, _steps_of)) if plain else cls(text, None)

    def column(self, run: RunDocuments, field: str, wrong: dict[int, str]) -> Sequence[Any]:
        """Return the value in each document of a run; None where there is none.

        If it cannot be evaluated for a document, add the reason to `wrong` by the position, beginning with `field`.
        """
        if self.steps is not None:
            return run.at(self.steps)
        if self.joined is not None and (found := self.joined.column(run)) is not None:
            return found
        search, values = jmespath.compile(self.text).search, []
        for i, document in enumerate(run.documents):
            try:
                values.append(search(document))
            except FAILURES as error:
                wrong.setdefault(i, f"{field}: {self.text}: {_words(error)}")
                values.append(None)
        return values


def _words(error: Exception) -> str:
    """Return why an expression fails, without quoting the value."""
    if type(error) is TypeError:
        return "it takes values of different types; to_number(…) makes a number of a text"
    expected = getattr(error, "expected_types", None)
    name = getattr(error, "function_name", "")
    if expected is not None:
        return f"{name}() takes {' or '.join(expected)}, not {getattr(error, 'actual_type', 'this')}"
    return type(error).__name__


def _steps_of(node: Mapping[str, Any]) -> Steps | None:
    """Return the steps of a parsed expression; None if it is not a plain path."""
    kind = node["type"]
    if kind in ("field", "index"):
        return (node["value"],)
    if kind in ("current", "identity"):
        return ()
    if kind not in ("subexpression", "index_expression"):
        return None
    parts = [_steps_of(child) for child in node["children"]]
    return None if None in parts else tuple(step for part in parts for step in part or ())
