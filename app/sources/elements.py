"""Expansion of records that hold several predictions or truths: one document for each element of their lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.settings.source_mapping import INDEX
from app.sources.fields import Wrong
from app.sources.paths import CompiledPath, RunDocuments

REPEATED = "id: two elements have the same; add their index, as in join('-', [id, to_string(index)])"


@dataclass(slots=True)
class Elements:
    """Documents of the elements of a run's records, each with its record's position.

    `empty` are the positions of records whose lists have no elements.
    """

    documents: list[dict[str, Any]] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    empty: list[int] = field(default_factory=list)


class Expansion:
    """Expansion by the paths of a record's lists, each with the name of its elements."""

    def __init__(self, each: Mapping[str, str]) -> None:
        self._paths = {name: CompiledPath.compile(path) for name, path in each.items()}

    def expand(self, documents: Sequence[Any], wrong: Wrong) -> Elements:
        """Return a document for each element: the record's members, the element of each list, and its index.

        If lists are missing or differ in length, add a reason to `wrong` by the record's position.
        """
        run = RunDocuments(documents)
        names = (*self._paths, INDEX)
        columns = [path.column(run, f"each.{name}", wrong) for name, path in self._paths.items()]
        found = Elements()
        for i, lists in enumerate(zip(*columns, strict=True)):
            if reason := self._problem(lists):
                wrong.setdefault(i, reason)
                continue
            n = len(lists[0])
            record = documents[i] if isinstance(documents[i], dict) else {}
            found.documents += [
                {**record, **dict(zip(names, row, strict=True))} for row in zip(*lists, range(n), strict=True)
            ]
            found.at += [i] * n
            if n == 0:
                found.empty.append(i)
        return found

    def _problem(self, lists: Sequence[Any]) -> str:
        """Return why lists cannot be read together; empty where they can."""
        for (name, path), one in zip(self._paths.items(), lists, strict=True):
            if not isinstance(one, list):
                return f"each.{name}: {'nothing' if one is None else 'no list'} at {path.text}"
        if len(set(map(len, lists))) > 1:
            lengths = ", ".join(f"{name} {len(one)}" for name, one in zip(self._paths, lists, strict=True))
            return f"each: the lists differ in their numbers of elements: {lengths}"
        return ""


def repeated_ids(ids: Sequence[str], at: Sequence[int], wrong: Wrong) -> None:
    """Add a reason to `wrong` for each element that has the id of an earlier element of its record."""
    pairs = [*zip(at, ids, strict=True)]
    if len(set(pairs)) == len(pairs):
        return
    seen: set[tuple[int, str]] = set()
    for i, pair in enumerate(pairs):
        if pair in seen:
            wrong.setdefault(i, REPEATED)
        seen.add(pair)
