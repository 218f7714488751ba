"""Conversion of an estimator's output to one plain prediction and probability for each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.core.values.reading import spelled


class PredictionFailed(RuntimeError):
    """Raised when the model returned something that is not a prediction. The message has no value of a feature."""


def predictions_of(returned: Any, rows: int) -> list[str | float | bool]:
    """Return the predictions of `rows` rows, from shape (n,) or (n, 1). Raises PredictionFailed for other shapes."""
    return [_plain(value) for value in _one_column("predict", returned, rows).tolist()]


def probabilities_of(
    returned: Any, rows: int, classes: Sequence[str], positive: str | None
) -> list[float | dict[str, float] | None]:  # fmt: skip
    """Return the positive class's probability for two classes, {class: p} for more.

    `returned`: the result of predict_proba, of shape (n, classes); or of shape (n,) or (n, 1) with the probability of
    the last of two classes. Raises PredictionFailed for other shapes, and where a probability is not finite.
    """
    if isinstance(returned, list) and returned and np.ndim(returned[0]) == 2:
        raise PredictionFailed(f"predict_proba returned {len(returned)} outputs; a model with one is served")
    try:
        values = np.asarray(_dense(returned), dtype=np.float64)
    except (TypeError, ValueError):
        raise PredictionFailed("predict_proba returned what are no numbers") from None
    if values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1):
        last = values.reshape(-1)
        values = np.column_stack([1 - last, last])
    if values.ndim != 2 or len(values) != rows:
        raise PredictionFailed(f"predict_proba returned the shape {_shape(values)} for {rows:,} rows")
    if classes and values.shape[1] != len(classes):
        raise PredictionFailed(f"predict_proba returned {values.shape[1]} columns for {len(classes)} classes")
    if not np.isfinite(values).all():
        raise PredictionFailed("a probability is not a finite number")
    if values.shape[1] == 2:
        of_positive: list[float | dict[str, float] | None] = values[
            :, -1 if positive is None or not classes else classes.index(positive)
        ].tolist()
        return of_positive
    if not classes:
        raise PredictionFailed(f"predict_proba returned {values.shape[1]} columns, and the model has no classes_")
    return [dict(zip(classes, row, strict=True)) for row in values.tolist()]


def classes_of(estimator: Any) -> tuple[str, ...]:
    """Return a classifier's classes, spelled as categories; none for a regression."""
    classes = getattr(estimator, "classes_", ())
    return tuple(spelled(value if isinstance(value, (str, int, float)) else str(value)) for value in list_of(classes))


def list_of(values: Any) -> list[Any]:
    """Return the plain Python values of an array or a sequence."""
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _one_column(method: str, returned: Any, rows: int) -> Any:
    dense = _dense(returned)
    mixed = isinstance(dense, (list, tuple))  # numpy would convert mixed values to texts
    values = np.asarray(dense, dtype=object) if mixed else np.asarray(dense)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values.reshape(-1)
    if values.ndim == 2 and len(values) == rows:
        raise PredictionFailed(f"{method} returned {values.shape[1]} columns; a model with one output is served")
    if values.ndim != 1 or len(values) != rows:
        raise PredictionFailed(f"{method} returned the shape {_shape(values)} for {rows:,} rows")
    return values


def _dense(returned: Any) -> Any:
    return returned.toarray() if hasattr(returned, "toarray") else returned


def _shape(values: Any) -> str:
    return " x ".join(map(str, values.shape)) or "of one value"


def _plain(value: object) -> str | float | bool:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        raise PredictionFailed("the model's prediction is not a finite number")
    return value if isinstance(value, (str, float, bool, int)) else str(value)
