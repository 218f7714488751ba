"""Stored examples of a bundle: tried at loading, and used as a good row when a later row fails."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from app.core.values.reading import spelled
from app.serving.bundle import MOST_EXAMPLES, Bundle, BundleError
from app.serving.outputs import PredictionFailed
from app.serving.predict import Predicted, UnfitRows, predict
from app.serving.types import FeatureType, Scalar

RELATIVE, ABSOLUTE = 1e-5, 1e-8
"""Tolerances of numpy.isclose: another machine adds in another order, and float32 has seven digits."""


TOKEN = re.compile(r"[\w.+-]+")
LONGEST = 300
"""Longest text of a model's own error, in characters."""


class Example(NamedTuple):
    """A row, and what the model returned for it in training. A `probability` of None is not compared."""

    features: Mapping[str, Scalar]
    prediction: str | float | bool
    probability: float | Mapping[str, float] | None


def examples_of(path: Path, given: object) -> tuple[Example, ...]:
    """Return the `examples` of the metadata, at most MOST_EXAMPLES. Raises BundleError, which names the field."""
    if not isinstance(given, list):
        raise BundleError(f"{path}: examples must be a list")
    return tuple(_example(path, f"examples[{i}]", one) for i, one in enumerate(given[:MOST_EXAMPLES]))


def _example(path: Path, where: str, given: Any) -> Example:
    if not isinstance(given, dict) or not isinstance(given.get("features"), dict):
        raise BundleError(f"{path}: {where} must be an object with features")
    if not isinstance(given.get("prediction"), (str, int, float)):
        raise BundleError(f"{path}: {where}.prediction must be a text, a number or a truth value")
    probability = given.get("probability")
    each = probability.values() if isinstance(probability, dict) else [0.0 if probability is None else probability]
    if not all(isinstance(one, (int, float)) for one in each):
        raise BundleError(f"{path}: {where}.probability must be a number, one for each class, or null")
    return Example(given["features"], given["prediction"], probability)


def try_examples(path: Path, bundle: Bundle, examples: Sequence[Example]) -> None:
    """Predict the examples.

    Raises BundleError where the model fails, or returns something else than in training.
    """
    if not examples:
        return
    try:
        found = predict(bundle, [one.features for one in examples])
    except UnfitRows as error:
        raise BundleError(f"{path}: examples[{error.rows[0].row}]: {error}") from None
    except PredictionFailed as error:
        raise BundleError(f"{path}: the model cannot be served: {error}") from None
    except Exception as error:  # a model may raise any exception
        raise BundleError(
            f"{path}: the model fails on its own examples ({_without_values(error, examples)}); features, types and "
            "order must be those of training"
        ) from error
    differing = [_other(one, told) for one, told in zip(examples, found, strict=True)]
    wrong = [(i, words) for i, words in enumerate(differing) if words]
    if wrong:
        i, words = wrong[0]
        raise BundleError(
            f"{path}: the model returns for {len(wrong)} of {len(examples)} examples something else than in training; "
            f"examples[{i}]: {words}"
        )


def _without_values(error: Exception, examples: Sequence[Example]) -> str:
    """Return an error's type and message; without the message where it contains a value of the examples."""
    words = " ".join(str(error).split())
    values = {str(value) for one in examples for value in one.features.values() if value is not None}
    told = "" if values.intersection(TOKEN.findall(words)) or any(f"'{v}'" in words for v in values) else f": {words}"
    return f"{type(error).__name__}{told[:LONGEST]}"


def _other(example: Example, found: Predicted) -> str:
    """Return what differs from training; empty where nothing does.

    Numbers differ where the difference exceeds RELATIVE and ABSOLUTE.
    """
    expected, told = example.prediction, found.prediction
    numbers = isinstance(expected, float) or isinstance(told, float)
    same = _close(expected, told) if numbers else spelled(expected) == spelled(told)
    if not same:
        return f"prediction {told!r}, expected {expected!r}"
    if example.probability is None:
        return ""
    if found.probability is None:
        return "no probability, expected one"
    wanted, given = example.probability, found.probability
    if isinstance(wanted, Mapping) and isinstance(given, dict):
        other = [name for name, value in wanted.items() if name not in given or not _close(value, given[name])]
        return f"another probability of {', '.join(map(str, other))}" if other else ""
    if isinstance(wanted, Mapping):
        return "one probability, expected one of each class"
    one = given.get(spelled(told), math.nan) if isinstance(given, dict) else given
    return "" if _close(wanted, one) else f"probability {one:.6g}, expected {wanted:.6g}"


def _close(expected: object, found: object) -> bool:
    both = isinstance(expected, (int, float)) and isinstance(found, (int, float))
    return both and math.isclose(expected, found, rel_tol=RELATIVE, abs_tol=ABSOLUTE)  # type: ignore[arg-type]


def known_good_of(
    examples: Sequence[Example], stats: Mapping[str, Any], types: Mapping[str, FeatureType]
) -> Mapping[str, Scalar] | None:  # fmt: skip
    """Return a row that the model should be able to predict; None where none is known.

    The row is the first example, else one of the usual values in `feature_stats`.
    """
    if examples:
        return examples[0].features
    row = {name: _usual(stats.get(name), kind) for name, kind in types.items()}
    return None if None in row.values() else row


def _usual(stats: Any, kind: FeatureType) -> Scalar:
    """Return a number's median or mean, or the most frequent category; None where neither is known."""
    if not isinstance(stats, dict):
        return None
    if kind.type == "number":
        found = stats.get("median", stats.get("mean"))
        return found if isinstance(found, (int, float)) else None
    counts = stats.get("counts")
    if not isinstance(counts, dict) or not counts:
        return None
    name = str(next(iter(counts)))
    if kind.type == "boolean":
        return name == spelled(True)
    if kind.type == "integer":
        return int(name) if name.lstrip("-").isdigit() else None
    return name
