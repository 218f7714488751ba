"""Features of a run's records, by the form in which a source declares them: an object, a list, or selected paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from app.settings.source_mapping import ListFeatures, ObjectFeatures, SelectedFeatures
from app.sources.fields import Wrong, checked_features
from app.sources.paths import CompiledPath, RunDocuments
from topics.events import Scalar

Rows = Sequence[dict[str, Scalar]]


def features_of(given: ObjectFeatures | ListFeatures | SelectedFeatures) -> Callable[[RunDocuments, Wrong], Rows]:
    """Return a function that finds each record's features."""
    if isinstance(given, SelectedFeatures):
        return _selected({name: CompiledPath.compile(path) for name, path in given.select.items()})
    if isinstance(given, ListFeatures):
        return _listed(CompiledPath.compile(given.list), given.names)
    return _members(CompiledPath.compile(given.object), frozenset(given.without))


def _selected(paths: dict[str, CompiledPath]) -> Callable[[RunDocuments, Wrong], Rows]:
    header = tuple(paths)

    def features(run: RunDocuments, wrong: Wrong) -> Rows:
        columns = [path.column(run, f"features.{name}", wrong) for name, path in paths.items()]
        return checked_features([dict(zip(header, row, strict=True)) for row in zip(*columns, strict=True)], wrong)

    return features


def _listed(path: CompiledPath, header: tuple[str, ...]) -> Callable[[RunDocuments, Wrong], Rows]:
    n = len(header)

    def features(run: RunDocuments, wrong: Wrong) -> Rows:
        rows: list[dict[str, Any]] = []
        for i, values in enumerate(path.column(run, "features", wrong)):
            if isinstance(values, list) and len(values) == n:
                rows.append(dict(zip(header, values, strict=True)))
                continue
            found = f"{len(values)} values" if isinstance(values, list) else "no list"
            wrong.setdefault(i, f"features: {found} at {path.text}; {n} are named")
            rows.append({})
        return checked_features(rows, wrong)

    return features


def _members(path: CompiledPath, without: frozenset[str]) -> Callable[[RunDocuments, Wrong], Rows]:
    def features(run: RunDocuments, wrong: Wrong) -> Rows:
        rows: list[dict[str, Any]] = []
        for i, value in enumerate(path.column(run, "features", wrong)):
            if not isinstance(value, dict):
                wrong.setdefault(i, f"features: {'nothing' if value is None else 'no object'} at {path.text}")
                rows.append({})
            elif without:
                rows.append({name: one for name, one in value.items() if name not in without})
            else:
                rows.append(value)
        return checked_features(rows, wrong)

    return features
