"""Task of a model (two classes, several classes or a number), inferred from its predictions and their truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.core.reference.profile import Task
from app.core.values.cell import Cell, is_missing
from app.core.values.kind import decide
from app.core.values.reading import Reading, names, numbers, spelling_of
from app.registration.monitoring import MonitoringError, MonitoringFile
from app.registration.roles import Roles
from app.tables import CellTable

MAX_LABELS = 50
"""Most distinct whole numbers that can be classes; more are a regression."""
FEW = 10
"""Distinct whole numbers up to which they are always classes; beyond, near misses show a regression."""
NEAR = 0.75
"""Share of the distance of two random rows: wrong predictions of a count are nearer to the truth on average."""


@dataclass(frozen=True, slots=True)
class TaskDecision:
    """Task of a model, the spelling of its labels, and the reason in words."""

    task: Task
    reading: Reading
    reason: str


def task_of(table: CellTable, roles: Roles, file: MonitoringFile) -> TaskDecision:
    """Return the given task, else the task inferred from the outputs.

    Two labels are binary. Texts are classes. Whole numbers are classes up to MAX_LABELS of them. Whole numbers written
    as decimals (4.0) are a regression, unless a missing value explains the form. More than FEW whole numbers are a
    regression if wrong predictions are mostly near misses. All other numbers are a regression.

    Raises MonitoringError where only one class occurs and `labels` does not name the others.
    """
    if roles.prediction is None:
        if file.task not in (None, "features"):
            raise MonitoringError(f"task: {file.task} needs predictions: name their column as columns.prediction")
        return TaskDecision("features", Reading(), "there is no column of predictions (columns.prediction names one)")
    prediction = table.listed(roles.prediction)
    truth = () if roles.target is None else table.listed(roles.target)
    reading = spelling_of([*prediction, *truth])
    if file.task is not None:
        return TaskDecision(file.task, Reading() if file.task == "regression" else reading, "as task says")
    labels = {name for name in names([*prediction, *truth, *file.labels], reading) if name is not None}
    number = len(file.labels) or len(labels)
    if number == 2:
        return TaskDecision("binary", reading, "two labels occur")
    reason = _classes(table, prediction, truth, labels) if not file.labels else "labels names them"
    if not reason:
        why = "the predictions are numbers (task: multiclass makes them classes)"
        return TaskDecision("regression", Reading(), why)
    if number < 2:
        raise MonitoringError(
            f"labels: the reference has one class only ({', '.join(sorted(labels)) or 'none'}); "
            f'name all that the model tells, as "labels": ["{next(iter(sorted(labels)), "a")}", "..."]'
        )
    return TaskDecision("multiclass", reading, f"{reason} (task: regression makes them numbers)")


def _classes(table: CellTable, prediction: Sequence[Cell], truth: Sequence[Cell], labels: set[str]) -> str:
    """Return why predictions are classes, in words; empty where they are numbers."""
    if decide(prediction, typed=table.typed, decimal=table.decimal).kind == "categorical":
        return f"the predictions are {len(labels)} texts"
    told, _ = numbers(prediction, decimal=table.decimal)
    actual, _ = numbers(truth, decimal=table.decimal)
    known = np.concatenate([told, actual])
    known = known[~np.isnan(known)]
    if not len(known) or (known != np.rint(known)).any() or len(labels) > MAX_LABELS or _decimals(prediction):
        return ""
    if len(labels) > FEW and len(truth) and _near(told, actual):
        return ""
    return f"the predictions are {len(labels)} whole numbers"


def _decimals(cells: Sequence[Cell]) -> bool:
    """Return whether whole numbers are written as decimals although no missing value makes pandas write them so."""
    if any(is_missing(cell) or cell == "" for cell in cells):
        return False
    return all(isinstance(cell, float) or (isinstance(cell, str) and "." in cell) for cell in cells)


def _near(predicted: NDArray[np.float64], actual: NDArray[np.float64]) -> bool:
    """Return whether wrong predictions are near the truth, as for counts, and not for classes."""
    wrong = ~(np.isnan(predicted) | np.isnan(actual)) & (predicted != actual)
    if not wrong.any():
        return False
    one, other = predicted[wrong], actual[wrong]
    apart = np.abs(one[:, None] - np.unique(other)[None, :])
    weights = np.unique(other, return_counts=True)[1]
    by_chance = float((apart @ weights).sum() / (len(one) * weights.sum()))
    return by_chance > 0 and float(np.abs(one - other).mean()) < NEAR * by_chance
