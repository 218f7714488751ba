"""A bundle's predictions for rows of raw features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from app.core.counting import NON_FINITE
from app.core.values.reading import spelled
from app.serving.bundle import Bundle, ValueType, classes_of, list_of

if TYPE_CHECKING:  # an API that serves no model needs no pandas: a third of its start; load_bundle imports it
    import pandas as pd

Scalar = str | int | float | bool | None
WORDS: Mapping[ValueType, str] = {
    "number": "a number", "text": "a text", "integer": "a whole number", "boolean": "true or false",
}  # fmt: skip


class Unfit(NamedTuple):
    """Why a row cannot be predicted: all features that it lacks, in the model's order, and what is wrong with others.

    `wrong` says of each feature that is unknown or of the wrong type what is expected and what was found.
    """

    row: int
    missing: tuple[str, ...]
    wrong: Mapping[str, str]

    def __str__(self) -> str:
        if self.missing:
            return f"missing features: {', '.join(self.missing)}"
        return "; ".join(f"{name}: {words}" for name, words in self.wrong.items())


class UnfitRows(ValueError):
    """Rows that cannot be predicted, in order; in words the first of them."""

    def __init__(self, rows: Sequence[Unfit]) -> None:
        super().__init__(str(rows[0]))
        self.rows = tuple(rows)


class PredictionFailed(RuntimeError):
    """The model answered what is no prediction."""


class Predicted(NamedTuple):
    """One prediction, its name for people, and the probability (of the positive class, or of each of many)."""

    prediction: str | float | bool
    label: str
    probability: float | dict[str, float] | None


def predict(bundle: Bundle, rows: Sequence[Mapping[str, Scalar]]) -> list[Predicted]:
    """One prediction a row; null is a missing value. All rows or none: raises UnfitRows, PredictionFailed."""
    if not rows:
        return []
    unfit = [found for i, row in enumerate(rows) if (found := _unfit(bundle, i, row)) is not None]
    if unfit:
        raise UnfitRows(unfit)
    import pandas as pd

    frame = pd.DataFrame({
        name: _column([row[name] for row in rows], kind) for name, kind in bundle.types.items()
    })  # fmt: skip
    predictions = [_plain(value) for value in list_of(bundle.estimator.predict(frame))]
    labels = [bundle.training.labels.get(spelled(value), spelled(value)) for value in predictions]
    return [Predicted(*row) for row in zip(predictions, labels, _probabilities(bundle, frame), strict=True)]


def _unfit(bundle: Bundle, i: int, row: Mapping[str, Scalar]) -> Unfit | None:
    missing = tuple(name for name in bundle.types if name not in row)
    wrong = {name: "the model has no such feature" for name in row if name not in bundle.types}
    wrong |= {
        name: f"expected {WORDS[kind]}, got {_word(row[name])}"
        for name, kind in bundle.types.items()
        if name in row and not _fits(row[name], kind)
    }
    return Unfit(i, missing, wrong) if missing or wrong else None


def _fits(value: Scalar, kind: ValueType) -> bool:
    if value is None or kind == "text":
        return True
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return kind == "number" and value in NON_FINITE
    return kind == "number" or float(value).is_integer()


def _word(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a text" if isinstance(value, str) else "a number"


def _column(values: list[Scalar], kind: ValueType) -> pd.Series:
    import pandas as pd

    if kind == "number":
        floats = [np.nan if v is None else NON_FINITE[v] if isinstance(v, str) else float(v) for v in values]
        return pd.Series(floats, dtype=np.float64)
    if kind == "text":
        return pd.Series([None if v is None else spelled(v) for v in values], dtype="str")
    if None in values:
        return pd.Series([None if v is None else v if kind == "boolean" else int(v) for v in values], dtype=object)
    return pd.Series(values, dtype=bool if kind == "boolean" else np.int64)


def _plain(value: object) -> str | float | bool:
    if isinstance(value, float) and not np.isfinite(value):
        raise PredictionFailed("the model's prediction is not a finite number")
    return value if isinstance(value, (str, float, bool, int)) else str(value)


def _probabilities(bundle: Bundle, frame: pd.DataFrame) -> Sequence[float | dict[str, float] | None]:
    """Of the positive class for two classes, {class: p} for more, None where the estimator tells none."""
    told: Any = getattr(bundle.estimator, "predict_proba", None)
    if told is None:
        return [None] * len(frame)
    classes, positive = classes_of(bundle.estimator), bundle.training.positive_label
    values = np.asarray(told(frame), dtype=np.float64)
    if len(classes) == 2:
        of_positive: list[float] = values[:, -1 if positive is None else classes.index(positive)].tolist()
        return of_positive
    return [dict(zip(classes, row, strict=True)) for row in values.tolist()]
