"""Held-out rows with the fitted model's predictions, by which a loaded model can be checked."""

from __future__ import annotations

import math

import numpy as np

from app.core.panes.inputs import NON_FINITE
from app.serving import Bundle, Training, predict
from app.serving.types import Scalar, feature_type
from app.training.fitting import TrainedModel

EXAMPLES = 10


def examples_of(trained: TrainedModel, model: str, version: str) -> list[dict[str, object]]:
    """Return `examples` as in training_metadata.json: features, prediction and probability of at most ten rows.

    The rows are spread over the model's predictions. The values are those of POST /predict: the probability of the
    positive class, `{class: p}` for more than two classes, null for a number. Empty where columns are hidden.
    """
    if why_left_out(trained):
        return []
    training = Training(
        model, version, type(trained.pipeline.steps[-1][1]).__name__, trained.finished_at.isoformat(),
        positive_label=trained.positive_label,
    )  # fmt: skip
    types = {name: feature_type(kind) for name, kind in trained.inputs.types.items()}
    bundle = Bundle(trained.pipeline, trained.inputs.kinds, types, training)
    rows = _rows(trained)
    answers = predict(bundle, rows)
    return [
        {"features": row, "prediction": answer.prediction, "probability": answer.probability}
        for row, answer in zip(rows, answers, strict=True)
    ]


def why_left_out(trained: TrainedModel) -> str:
    """Return the reason why no rows are stored, in words; empty where they may be stored."""
    hidden = {"redacted": trained.plan.redact, "hashed": trained.plan.hashed}
    named = [f"{', '.join(names)} {how}" for how, names in hidden.items() if names]
    return f"no examples are stored, because values are hidden: {'; '.join(named)}" if named else ""


def _rows(trained: TrainedModel) -> list[dict[str, Scalar]]:
    reference = trained.reference
    by = [name for name in ("probability", "prediction") if name in reference]
    order = np.lexsort([np.unique(reference[name], return_inverse=True)[1] for name in by])
    picked = np.unique(order[np.linspace(0, len(order) - 1, min(EXAMPLES, len(order))).astype(int)])
    features = reference[list(trained.inputs.kinds)].iloc[picked]
    return [{str(name): _json(value) for name, value in row.items()} for row in features.to_dict("records")]


def _json(value: object) -> Scalar:
    """Return a cell as in a request: null where it is missing, a word for a float without a JSON number."""
    plain = value.item() if isinstance(value, np.generic) else value
    if plain is None or isinstance(plain, (bool, int, str)):
        return plain
    number = float(plain)  # type: ignore[arg-type]
    if math.isnan(number):
        return None
    return next((word for word, one in NON_FINITE.items() if one == number), number)
