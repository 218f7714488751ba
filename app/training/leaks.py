"""Columns that reveal the target: a model of one column, evaluated on held-out rows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from app.core.reference.profile import Task
from app.training.cautions import TrainingWarning
from app.training.columns import Inputs

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Split = tuple[Ints, Ints]

THRESHOLD = 0.99
MOST_ROWS = 10_000
"""Most rows of either part: more rows show no more about a column that is nearly perfect."""
FEWEST_HELD_OUT = 10
"""Fewest held-out rows of a class; with fewer, each row of the table is held out in turn (cross-validation)."""
FOLDS = 5
LEAVES = {"regression": 256, "binary": 16, "multiclass": 64}

MEASURES = {"binary": "AUC", "multiclass": "balanced accuracy", "regression": "R²"}


def leak_warnings(
    inputs: Inputs, truth: pd.Series, task: Task, seen: pd.Index, unseen: pd.Index
) -> list[TrainingWarning]:
    """Return a warning for each feature that alone predicts the target almost perfectly.

    The measure is the AUC for two classes, the balanced accuracy for more, and R² for numbers. It is the better one of
    a small tree (of the rows of the same category for a categorical feature) and of the raw column.
    """
    rows, splits = _splits(truth, task, seen, unseen)
    if not splits:
        words = "too few rows of a class to look for columns that leak it; give 2 of each class at least"
        return [TrainingWarning("not_checked", str(truth.name), words)]
    target = _codes(truth.loc[rows], task)
    frame = inputs.frame.loc[rows]
    found = []
    for name, kind in inputs.kinds.items():
        ranks = _ranks(frame[name]) if kind == "numeric" else _categories(frame[name])
        figure = _score(ranks, target, task, splits, is_category=kind == "categorical")
        if figure >= THRESHOLD:
            found.append(_warning(name, str(truth.name), task, figure))
    return found


def _warning(name: str, target: str, task: Task, figure: float) -> TrainingWarning:
    words = (
        f"predicts {target!r} by itself: {MEASURES[task]} {figure:.4f} on rows held out, the threshold is "
        f"{THRESHOLD:g}. If it is known only after the outcome, it leaks the target and the model will fail when it is "
        f"served: leave it out with --ignore {shlex.quote(name)}. If it is known before, a rule of it alone may do"
    )
    return TrainingWarning("leaked_target", name, words, figure, THRESHOLD)


def _splits(truth: pd.Series, task: Task, seen: pd.Index, unseen: pd.Index) -> tuple[pd.Index, Sequence[Split]]:
    """Return the rows to examine, and splits of their positions into fitted and held-out rows."""
    parts = [_thinned(truth.loc[part]) for part in (seen, unseen)]
    fewest = len(parts[1]) if task == "regression" else int(parts[1].value_counts().min())
    if fewest >= FEWEST_HELD_OUT:
        rows = parts[0].index.append(parts[1].index)
        at = np.arange(len(rows))
        return rows, [(at[: len(parts[0])], at[len(parts[0]) :])]
    every = _thinned(truth)
    folds = min(FOLDS, len(every) if task == "regression" else int(every.value_counts().min()))
    if folds < 2:
        return every.index, []
    if task == "regression":
        return every.index, list(KFold(folds, shuffle=True, random_state=0).split(every))
    labels = every.astype(str)
    return every.index, list(StratifiedKFold(folds, shuffle=True, random_state=0).split(labels, labels))


def _thinned(truth: pd.Series) -> pd.Series:
    """Return at most MOST_ROWS rows, evenly spread over the values of the target."""
    if len(truth) <= MOST_ROWS:
        return truth
    order = np.argsort(_ordinals(truth), kind="stable")
    return truth.iloc[np.sort(order[np.linspace(0, len(truth) - 1, MOST_ROWS).astype(int)])]


def _ordinals(truth: pd.Series) -> Ints:
    return np.unique(np.asarray(truth), return_inverse=True)[1]


def _codes(truth: pd.Series, task: Task) -> Floats:
    return np.asarray(truth, np.float64) if task == "regression" else _ordinals(truth).astype(np.float64)


def _ranks(column: pd.Series) -> Floats:
    """Return numbers as the ranks of their values: a tree reads float32, in which large numbers coincide."""
    values = np.asarray(column, np.float64)
    ranks = np.full(len(values), np.nan)
    present = ~np.isnan(values)
    ranks[present] = np.unique(values[present], return_inverse=True)[1]
    return ranks


def _categories(column: pd.Series) -> Floats:
    """Return categories as numbers; a missing value is one of them."""
    codes = pd.factorize(column.astype(object).where(column.notna(), None), use_na_sentinel=False)[0]
    return np.asarray(codes, np.float64)


def _score(x: Floats, y: Floats, task: Task, splits: Sequence[Split], *, is_category: bool) -> float:
    if len(np.unique(x)) < 2:  # NaN is one value here
        return 0.0
    predicted = list(_predicted(x, y, task, splits, is_category=is_category))
    truth = np.concatenate([y[held] for _, held in splits])
    figures = [_measured(truth, np.concatenate([one[i] for one in predicted]), task) for i in range(len(predicted[0]))]
    if task == "binary":  # either class may be the one with the larger values
        figures = [max(figure, 1 - figure) for figure in figures]
    return max(figures)


def _measured(truth: Floats, predicted: Floats, task: Task) -> float:
    if task == "regression":
        return float(r2_score(truth, predicted)) if np.ptp(truth) else 0.0
    return float(roc_auc_score(truth, predicted) if task == "binary" else balanced_accuracy_score(truth, predicted))


def _predicted(
    x: Floats, y: Floats, task: Task, splits: Sequence[Split], *, is_category: bool
) -> Iterator[list[Floats]]:
    """Yield, for each split, the predictions of the held-out rows by each way of using the column."""
    for fitted, held in splits:
        if is_category:
            yield [_by_category(x[fitted], y[fitted], x[held], task)]
            continue
        each = [_by_tree(x[fitted], y[fitted], x[held], task)]
        filled = np.nan_to_num(x[held], nan=-1.0)
        if task == "binary":
            each.append(filled)
        yield each


def _by_tree(x: Floats, y: Floats, asked: Floats, task: Task) -> Floats:
    """Return the predictions of a small tree for `asked`; missing numbers have a branch of their own."""
    if task == "regression":
        tree = DecisionTreeRegressor(max_leaf_nodes=LEAVES[task], random_state=0).fit(x[:, None], y)
        return np.asarray(tree.predict(asked[:, None]), np.float64)
    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES[task], random_state=0).fit(x[:, None], y)
    if task == "multiclass":
        return np.asarray(tree.predict(asked[:, None]), np.float64)
    return np.asarray(tree.predict_proba(asked[:, None])[:, -1], np.float64)


def _by_category(x: Floats, y: Floats, asked: Floats, task: Task) -> Floats:
    """Return for each row the mean of its category's rows, or for many classes the most frequent class."""
    groups = pd.Series(y).groupby(x)
    if task == "multiclass":
        known, other = groups.agg(lambda part: part.mode().iloc[0]), float(pd.Series(y).mode().iloc[0])
    else:
        known, other = groups.mean(), float(y.mean())
    return np.asarray(pd.Series(asked).map(known).fillna(other), np.float64)
