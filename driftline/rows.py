"""Features from tables: a Series, or a frame of one row, as a mapping. No table library is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from driftline.losses import InvalidEvent


def mapped(field: str, given: object) -> object:
    """Return a mapping of any kind, a Series or a frame of one row as a new dict; any other value unchanged.

    Series and frames are pandas' and Polars'. Raises InvalidEvent, which names the field, for another number of rows
    and for two values of one name.
    """
    if type(given) is dict or given is None:
        return given
    if isinstance(given, Mapping):
        return dict(given)
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(given, pandas.Series):
        return _named(field, given.index, given)
    if pandas is not None and isinstance(given, pandas.DataFrame):
        _one_row(field, len(given))
        return _named(field, given.columns, next(given.itertuples(index=False, name=None)))
    if polars is not None and isinstance(given, polars.DataFrame):
        _one_row(field, given.height)
        return given.row(0, named=True)
    return given


def _one_row(field: str, count: int) -> None:
    if count != 1:
        raise InvalidEvent(f"{field}: a frame of {count:,} rows; log one row at a time")


def _named(field: str, names: Iterable[object], values: Iterable[object]) -> dict[object, object]:
    found: dict[object, object] = {}
    for name, value in zip(names, values, strict=True):
        if name in found:
            raise InvalidEvent(f"{field}: two values have the name {name}")
        found[name] = value
    return found
