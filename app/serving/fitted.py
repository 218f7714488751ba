"""Features to which an estimator was fitted (names, order and number), compared with the metadata."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

SHOWN = 10
"""Number of features that an error names."""
POSITIONS = re.compile(r"(Column_|f)?\d+")
"""Names that LightGBM, XGBoost and CatBoost derive from positions."""
WRAPPED = ("best_estimator_", "regressor_")
"""Attributes in which an estimator keeps the fitted estimator that it wraps."""


class FeaturesDiffer(ValueError):
    """Raised when the metadata's features differ from the model's. The message names them."""


class Fitted(NamedTuple):
    """Features to which an estimator was fitted.

    `names` are in the order of training; None where the estimator has none. `n` is their number; None where the
    estimator does not report it. `unused`: names that the estimator was given and drops. `picks`: the estimator selects
    its columns by name and ignores others.
    """

    names: tuple[str, ...] | None
    n: int | None
    unused: frozenset[str] = frozenset()
    picks: bool = False


def fitted_features(estimator: Any) -> Fitted:
    """Return what the estimator was fitted to, as the outermost estimator with this information reports it."""
    for one in _from_outside_in(estimator):
        names, n = _names(one), _get(one, "n_features_in_")
        if names is None and not isinstance(n, int):
            continue
        first = _first(one)
        picks = names is not None and _get(first, "transformers_") is not None
        unused = _unused(first, names) if picks and names is not None else frozenset[str]()
        return Fitted(names, n if isinstance(n, int) else len(names or ()), unused, picks)
    return Fitted(None, None)


def checked_order(features: Sequence[str], estimator: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the features in the order of training, and warnings for users of the model.

    Raises FeaturesDiffer where the metadata has other features than the model, or another number of them.
    """
    fitted = fitted_features(estimator)
    given = tuple(features)
    if fitted.names is None:
        if fitted.n is None:
            return given, ("the model does not say which features it was fitted to, so they are not checked",)
        if fitted.n != len(given):
            raise FeaturesDiffer(f"has {len(given):,} features, and the model was fitted to {fitted.n:,}")
        return given, ("the model was fitted to an array without names, so the order of its features is not checked",)
    renamed = any(_is_of(one, "lightgbm") for one in _from_outside_in(estimator))  # a search has its best one's names
    spelling = {_as_lightgbm(name): name for name in given} if renamed else {name: name for name in given}
    known = [spelling.get(name, name) for name in fitted.names]
    lacking = [name for name in known if name not in given and name not in fitted.unused]
    foreign = [name for name in given if name not in known]
    if lacking:
        raise FeaturesDiffer(f"lacks features that the model was fitted to: {_shown(lacking)}")
    if foreign and not fitted.picks:
        raise FeaturesDiffer(f"has features that the model was not fitted to: {_shown(foreign)}")
    cautions = [f"the model does not use {_shown(foreign)}"] if foreign else []
    order = (*(name for name in known if name in given), *foreign)
    if order != given and not fitted.picks:
        cautions.append("feature_metadata.json has its features in another order than the model, whose order is taken")
    return order, tuple(cautions)


def takes_no_objects(estimator: Any) -> bool:
    """Return whether the estimator rejects columns of objects.

    LightGBM and XGBoost do, where no step converts the columns before them.
    """
    return any(_is_of(one, package) for one in _from_outside_in(estimator) for package in ("lightgbm", "xgboost"))


def _from_outside_in(estimator: Any) -> list[Any]:
    """Return an estimator and the estimators inside it that get the same columns, from the outside in."""
    found = [estimator]
    while len(found) < SHOWN:
        inner = next((one for name in WRAPPED if (one := _get(found[-1], name)) is not None), None)
        calibrated = _get(found[-1], "calibrated_classifiers_")
        if inner is None and (first := _first(found[-1])) is not found[-1]:
            inner = first  # a pipeline reports its first step's features, or none where that step accepts any
        if inner is None and calibrated:
            inner = _get(calibrated[0], "estimator")
        if inner is None:
            break
        found.append(inner)
    return found


def _names(estimator: Any) -> tuple[str, ...] | None:
    """Return the names to which an estimator was fitted; None where it was fitted to an array."""
    booster = _get(estimator, "get_booster")
    of_booster = _get(_called(booster), "feature_names") if callable(booster) else None
    function = _get(estimator, "feature_name")
    candidates = (
        _get(estimator, "feature_names_in_"), _get(estimator, "feature_name_"), of_booster,
        _get(estimator, "feature_names_"), _called(function) if callable(function) else None,
    )  # fmt: skip
    for names in candidates:
        if names is None or isinstance(names, str) or not hasattr(names, "__iter__"):
            continue
        found = tuple(str(name) for name in names)
        made_up = _is_of(estimator, "lightgbm", "xgboost", "catboost") and all(map(POSITIONS.fullmatch, found))
        if found and not made_up:
            return found
    return None


def _first(estimator: Any) -> Any:
    """Return a pipeline's first step that does something; else the estimator itself."""
    steps = _get(estimator, "steps") or ()
    first = next((step[1] for step in steps if step[1] not in (None, "passthrough")), None)
    return estimator if first is None else _first(first)


def _unused(transformer: Any, names: Sequence[str]) -> frozenset[str]:
    """Return the columns that a ColumnTransformer was given and drops."""
    used: set[str] = set()
    for _, one, columns in _get(transformer, "transformers_") or ():
        if isinstance(one, str) and one == "drop":
            continue
        used |= _named(columns, names)
    return frozenset(names) - used


def _named(columns: Any, names: Sequence[str]) -> set[str]:
    """Return the column names of a selection by names, positions, a slice or a mask."""
    if isinstance(columns, slice) and not isinstance(columns.start or columns.stop, str):
        return set(names[columns])
    chosen = [columns] if isinstance(columns, (str, int)) else columns
    if not isinstance(chosen, Collection) and not hasattr(chosen, "tolist"):
        return set(names)
    plain = chosen.tolist() if hasattr(chosen, "tolist") else list(chosen)
    if plain and all(isinstance(one, bool) for one in plain):
        return {name for name, taken in zip(names, plain, strict=False) if taken}
    return {one if isinstance(one, str) else names[one] for one in plain}


def _is_of(estimator: Any, *packages: str) -> bool:
    return any(base.__module__.partition(".")[0] in packages for base in type(estimator).__mro__)


def _as_lightgbm(name: str) -> str:
    """Return a name as LightGBM writes it: spaces become underscores."""
    return "_".join(name.split(" "))


def _get(thing: Any, name: str) -> Any:
    """Return an attribute; None where it is missing, or reading it raises an error, as on an unfitted estimator."""
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - properties of other libraries raise anything
        return None


def _called(function: Any) -> Any:
    try:
        return function()
    except Exception:  # noqa: BLE001 - see _get
        return None


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
