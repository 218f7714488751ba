"""Search for the features of a row that a model cannot predict.

The model gets a good row in which one value is replaced. A model's own error often contains the value but seldom the
name. From within a pipeline, the error counts columns that no client sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from app.serving.types import Scalar

Row = Mapping[str, Scalar]
Try = Callable[[Sequence[Row]], None]
"""Function that predicts rows, and raises what the model raises."""

MOST_TRIES = 64
"""Attempts for one request. The limit ends the search with a model that keeps failing."""
MOST_ROWS = 10
"""Rows of one request for which features are named."""
OF_MISSING = re.compile(r"\bNaN\b|\bNA\b|NoneType|missing values?|\bnull\b", re.IGNORECASE)


def failing_features(
    good: Row | None, rows: Sequence[Row], attempt: Try, error: Exception
) -> dict[int, dict[str, str]]:
    """Return the features that the model fails on, by the row's position, each with the reason.

    Rows for which no feature is found are left out. `good`: a row that the model should be able to predict, if one is
    known. `error`: what the model has raised.
    """
    tries = _Tries(attempt)
    with_good = good is not None and tries.passes([good])
    found: dict[int, dict[str, str]] = {}
    for i in _failing(rows, range(len(rows)), tries)[:MOST_ROWS]:
        names = _failing_names(good, rows[i], list(rows[i]), tries) if with_good and good is not None else []
        if not names and OF_MISSING.search(str(error)):
            names = [name for name, value in rows[i].items() if value is None]
        if names:
            found[i] = {name: _words(rows[i][name]) for name in names}
    return found


class _Tries:
    """Attempts to predict, up to a limit."""

    def __init__(self, attempt: Try) -> None:
        self._attempt = attempt
        self.left = MOST_TRIES

    def passes(self, rows: Sequence[Row]) -> bool:
        """Return whether the model predicts the rows.

        Return true also where no attempt is left, so that no feature is named.
        """
        if self.left == 0:
            return True
        self.left -= 1
        try:
            self._attempt(rows)
        except Exception:  # noqa: BLE001 - whatever a model raises
            return False
        return True


def _failing(rows: Sequence[Row], positions: Sequence[int], tries: _Tries) -> list[int]:
    """Return the positions of the rows that fail alone, found by bisection."""
    if tries.passes([rows[i] for i in positions]):
        return []
    if len(positions) == 1:
        return list(positions)
    half = len(positions) // 2
    return _failing(rows, positions[:half], tries) + _failing(rows, positions[half:], tries)


def _failing_names(good: Row, bad: Row, names: Sequence[str], tries: _Tries) -> list[str]:
    """Return the features whose values make the good row fail, found by bisection."""
    if tries.passes([{**good, **{name: bad[name] for name in names}}]):
        return []
    if len(names) == 1:
        return list(names)
    half = len(names) // 2
    return _failing_names(good, bad, names[:half], tries) + _failing_names(good, bad, names[half:], tries)


def _words(value: Scalar) -> str:
    if value is None:
        return "the model cannot take null"
    if isinstance(value, bool):
        return "the model cannot take this truth value"
    return f"the model cannot take this {'text' if isinstance(value, str) else 'number'}"
