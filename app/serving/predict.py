"""Predictions of a bundle for rows of raw features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from app.core.values.reading import spelled
from app.serving.bundle import Bundle
from app.serving.failing import failing_features
from app.serving.outputs import PredictionFailed, classes_of, predictions_of, probabilities_of
from app.serving.types import Scalar, frame_of, wrong_value

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Predicted", "PredictionFailed", "Scalar", "Unfit", "UnfitRows", "predict"]


class Unfit(NamedTuple):
    """Reasons why a row cannot be predicted.

    `missing`: all features that the row lacks, in the model's order. `wrong`: for each feature that is unknown, null or
    of the wrong type, what is expected and what was found.
    """

    row: int
    missing: tuple[str, ...]
    wrong: Mapping[str, str]

    def __str__(self) -> str:
        if self.missing:
            return f"missing features: {', '.join(self.missing)}"
        return "; ".join(f"{name}: {words}" for name, words in self.wrong.items())


class UnfitRows(ValueError):
    """Raised for rows that cannot be predicted, in order. The message describes the first of them."""

    def __init__(self, rows: Sequence[Unfit]) -> None:
        super().__init__(str(rows[0]))
        self.rows = tuple(rows)


class Predicted(NamedTuple):
    """One prediction, its readable name, and the probability (of the positive class, or of each of many)."""

    prediction: str | float | bool
    label: str
    probability: float | dict[str, float] | None


def predict(bundle: Bundle, rows: Sequence[Mapping[str, Scalar]]) -> list[Predicted]:
    """Return one prediction for each row; null is a missing value. All rows are predicted, or none.

    Raises UnfitRows, also where the model itself cannot take a feature's value. Raises PredictionFailed where the model
    returns no prediction; else what the model raises.
    """
    if not rows:
        return []
    unfit = [found for i, row in enumerate(rows) if (found := _unfit(bundle, i, row)) is not None]
    if unfit:
        raise UnfitRows(unfit)
    try:
        return _predicted(bundle, rows)
    except PredictionFailed:
        raise
    except Exception as error:
        wrong = failing_features(bundle.known_good, rows, lambda tried: _raw(bundle, tried), error)
        if wrong:
            raise UnfitRows([Unfit(i, (), words) for i, words in wrong.items()]) from error
        raise


def _predicted(bundle: Bundle, rows: Sequence[Mapping[str, Scalar]]) -> list[Predicted]:
    n, frame = len(rows), frame_of(bundle.types, rows, extended=bundle.extended)
    predictions = predictions_of(bundle.estimator.predict(frame), n)
    labels = [bundle.training.labels.get(spelled(value), spelled(value)) for value in predictions]
    return [Predicted(*row) for row in zip(predictions, labels, _probabilities(bundle, frame), strict=True)]


def _raw(bundle: Bundle, rows: Sequence[Mapping[str, Scalar]]) -> None:
    """Let the model predict the rows, and ignore the result. Raises what the model raises."""
    bundle.estimator.predict(frame_of(bundle.types, rows, extended=bundle.extended))


def _unfit(bundle: Bundle, i: int, row: Mapping[str, Scalar]) -> Unfit | None:
    same = row.keys() == bundle.types.keys()
    missing = () if same else tuple(name for name in bundle.types if name not in row)
    wrong = {} if same else {name: "the model has no such feature" for name in row if name not in bundle.types}
    wrong |= {
        name: words for name, kind in bundle.types.items() if name in row and (words := wrong_value(row[name], kind))
    }
    return Unfit(i, missing, wrong) if missing or wrong else None


def _probabilities(bundle: Bundle, frame: pd.DataFrame) -> Sequence[float | dict[str, float] | None]:
    """Return the positive class's probability for two classes, {class: p} for more.

    Return None for each row where the estimator has no predict_proba.
    """
    told: Any = getattr(bundle.estimator, "predict_proba", None)
    if told is None:
        return [None] * len(frame)
    classes = classes_of(bundle.estimator)
    return probabilities_of(told(frame), len(frame), classes, bundle.training.positive_label)
