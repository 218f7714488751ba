"""Warnings about a training before it is used: each names a column and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from app.core.reference.profile import Task
from app.core.values.reading import spelled

Concern = Literal[
    "leaked_target", "running_id", "certain_drift", "row_order", "one_answer", "zero_baseline", "not_checked"
]

ONE_ANSWER = 0.995
"""Share of held-out rows with the same prediction from which the model counts as one that predicts nothing else."""
HIGHER_IS_BETTER = (
    "accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "macro_f1", "macro_precision",
    "macro_recall",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainingWarning:
    """Warning about a training.

    `figure`: the measured value; `threshold`: the value from which it warns; None for facts.
    """

    concern: Concern
    column: str
    message: str
    figure: float | None = None
    threshold: float | None = None

    def __str__(self) -> str:
        return f"{self.column}: {self.message}"


def baseline_warnings(
    target: str, task: Task, truth: pd.Series, predicted: np.ndarray, metrics: Mapping[str, float]
) -> list[TrainingWarning]:
    """Return warnings about metrics that cannot be monitored, because they are already at their worst.

    `truth` and `predicted`: one value for each held-out row. A share of 0 has no fall (ADR 96), so it is never judged.
    """
    if task == "regression":
        return _no_better_than_the_mean(target, metrics)
    found = _one_answer(target, truth, predicted)
    if not found:
        found = _never_right(target, truth, predicted)
    return [*found, *_zeros(target, metrics)]


def _no_better_than_the_mean(target: str, metrics: Mapping[str, float]) -> list[TrainingWarning]:
    r2 = metrics["r2"]
    if r2 > 0:
        return []
    words = (
        f"the model predicts it no better than its mean does: r2 is {r2:.4f}, the threshold 0. Only a rise of its "
        "error can be found; give it features that say something of the target, or more rows"
    )
    return [TrainingWarning("zero_baseline", target, words, r2, 0.0)]


def _one_answer(target: str, truth: pd.Series, predicted: np.ndarray) -> list[TrainingWarning]:
    counts = pd.Series(predicted).value_counts(normalize=True)
    share, answer = float(counts.iloc[0]), counts.index[0]
    actual = float((np.asarray(truth) == answer).mean())
    if share < ONE_ANSWER or (1 - actual) < 2 * (1 - share):
        return []
    words = (
        f"the model predicts {spelled(_plain(answer))!r} for {share:.1%} of the rows held out, the threshold is "
        f"{ONE_ANSWER:.1%}, and {actual:.1%} are of that class: its accuracy is the share of the class, whatever "
        "happens to the features; give it more rows of the other classes, or features that tell them apart"
    )
    return [TrainingWarning("one_answer", target, words, share, ONE_ANSWER)]


def _never_right(target: str, truth: pd.Series, predicted: np.ndarray) -> list[TrainingWarning]:
    actual = np.asarray(truth)
    labels = pd.unique(actual)
    missed = [label for label in labels if not (predicted[actual == label] == label).any()]
    if not missed:
        return []
    named = ", ".join(sorted(spelled(_plain(label)) for label in missed))
    words = (
        f"no row held out of class {named} was predicted right: recall 0, which cannot fall; give it more rows of "
        "the class, or take the class together with another"
    )
    return [TrainingWarning("zero_baseline", target, words, 0.0, 0.0)]


def _zeros(target: str, metrics: Mapping[str, float]) -> list[TrainingWarning]:
    zero = [name for name in HIGHER_IS_BETTER if metrics.get(name) == 0]
    if not zero:
        return []
    left = [name for name in metrics if name not in zero]
    words = (
        f"the baseline of {', '.join(zero)} is 0 on the rows held out, so no fall of it can be found and it is never "
        f"judged; {', '.join(left)} can be. --positive-label names the class that precision and recall are of"
    )
    return [TrainingWarning("zero_baseline", target, words, 0.0, 0.0)]


def _plain(label: object) -> str | int | float | bool:
    value = label.item() if isinstance(label, np.generic) else label
    return value if isinstance(value, (str, int, float, bool)) else str(value)
