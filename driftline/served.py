"""Predictions of a service, from what its model was called with and what it returned."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from driftline.losses import InvalidEvent

Features = Mapping[Any, object]


class ResultNames(NamedTuple):
    """Names of members in the result of a model; with dots for members of members, as `scores.churn`.

    A result without members is the prediction itself. `probability` None: `probability`, where the result has it.
    """

    prediction: str = "prediction"
    probability: str | None = None
    prediction_id: str = "prediction_id"


class ServedPrediction(NamedTuple):
    """Arguments of `Client.log`. `prediction_id` None: neither the call nor the result has one."""

    features: Features
    prediction: Any
    probability: Any
    prediction_id: Any


def features_of(given: object) -> Features | list[Features] | None:
    """Return the features in a value: of one prediction, or of a list of them; None where they have no names.

    Takes mappings, Series, frames (pandas, Polars), pydantic models, dataclasses, msgspec structs and named tuples, and
    lists of them. A frame is a list, of one row too.
    """
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(given, pandas.DataFrame):
        return [dict(zip(given.columns, row, strict=True)) for row in given.itertuples(index=False, name=None)]
    if pandas is not None and isinstance(given, pandas.Series):
        return dict(zip(given.index, given, strict=True))
    if polars is not None and isinstance(given, polars.DataFrame):
        return list(given.iter_rows(named=True))
    found = members_of(given)
    if found is not None:
        return dict(found)
    if not isinstance(given, list | tuple):
        return None
    rows = [members_of(one) for one in given]
    return None if None in rows else [dict(row) for row in rows if row is not None]


def members_of(value: object) -> Mapping[Any, object] | None:
    """Return the members of a value by name; None where it has none."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    if (dump := getattr(value, "model_dump", None)) is not None:  # pydantic's models
        found: Mapping[Any, object] = dump()
        return found
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    names = getattr(value, "__struct_fields__", None) or getattr(value, "_fields", None)  # msgspec, named tuples
    return {name: getattr(value, name) for name in names} if isinstance(names, tuple) else None


def member_of(value: object, name: str, option: str = "", of: str = "the result") -> object:
    """Return a member by its name, with dots for members of members; of a list the member of each item.

    An absent member is None. With `option` raises InvalidEvent that names the option, the member and `of`.
    """
    members = members_of(value)
    if members is None and isinstance(value, list | tuple):
        return [member_of(item, name, option, of) for item in value]
    if members is not None and name in members:
        return members[name]
    first, dot, rest = name.partition(".")
    if members is not None and dot and first in members:
        return member_of(members[first], rest, option, of)
    if not option:
        return None
    there = "" if members is None else f", but {', '.join(sorted(map(str, members)))}"
    raise InvalidEvent(f"{option}: {of} has no {first}{there} ({option}= gives its name)")


def served_predictions(
    features: Features | list[Features], result: object, names: ResultNames, given_id: object = None
) -> list[ServedPrediction]:
    """Return the predictions of one call, in the order of its rows.

    An id in the result is taken, else one in the features, else `given_id`; of a row of several `given_id-NUMBER`.
    Raises InvalidEvent naming a member that the result does not have, and for another number of predictions than rows.
    """
    prediction, probability, result_id = _outputs(result, names)
    if not isinstance(features, list):
        return [_served(names, given_id, features, _alone(prediction), _alone(probability), _alone(result_id))]
    count = len(features)
    outputs = (("prediction", prediction), ("probability", probability), (names.prediction_id, result_id))
    columns = [_column(name, value, count) for name, value in outputs]
    return [
        _served(names, given_id if given_id is None or count == 1 else f"{given_id}-{number}", row, *values)
        for number, (row, values) in enumerate(zip(features, zip(*columns, strict=True), strict=True))
    ]


def _outputs(result: object, names: ResultNames) -> tuple[object, object, object]:
    """Return prediction, probability and id of a result; lists of them where the result is of several rows."""
    items = result if isinstance(result, list | tuple) and members_of(result) is None else None
    if members_of(result) is None and (not items or any(members_of(one) is None for one in items)):
        return result, None, None
    return (
        member_of(result, names.prediction, "prediction"),
        member_of(result, names.probability or "probability", "" if names.probability is None else "probability"),
        member_of(result, names.prediction_id),
    )


def _served(
    names: ResultNames, given_id: object, features: Features, prediction: object, probability: object, own_id: object
) -> ServedPrediction:
    if names.prediction_id in features:
        left = dict(features)
        of_features = left.pop(names.prediction_id)
        given_id = given_id if of_features is None else of_features
        features = left
    return ServedPrediction(features, prediction, probability, given_id if own_id is None else own_id)


def _alone(value: object) -> object:
    """Return the only item of a list."""
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def _column(name: str, value: object, count: int) -> list[object]:
    """Return one value for each row. Raises InvalidEvent."""
    if value is None:
        return [None] * count
    to_list = getattr(value, "tolist", None) or getattr(value, "to_list", None)  # numpy, pandas; Polars
    values = to_list() if to_list is not None else value
    if not isinstance(values, list | tuple):
        values = [values]
    if len(values) != count:
        raise InvalidEvent(f"{name}: {count:,} rows were given, and {len(values):,} values returned")
    return list(values)
