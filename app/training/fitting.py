"""Training: the rows are split once, the model is fitted to one part, and its metrics come from the other."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from sklearn import metrics as measure
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from app.core.reference.profile import Task
from app.core.values.reading import spelled
from app.registration.task import MAX_LABELS
from app.serving.bundle import classes_of
from app.training.cautions import TrainingWarning, baseline_warnings
from app.training.columns import Inputs, TrainingError, check_hidden, inputs_of, target_of
from app.training.leaks import leak_warnings
from app.training.pipeline import Estimator, pipeline_of
from app.training.row_order import order_warnings, times_of

FEWEST_ROWS = 40
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Options of a training. `task` None: by the target. `positive_label` None: the last of two. `holdout`: a share.

    `redact` and `hashed`: columns whose values are stored nowhere in clear text, and registered as such.
    """

    target: str
    task: Task | None = None
    ignore: Sequence[str] = ()
    categorical: Sequence[str] = ()
    positive_label: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    estimator: Estimator = "trees"
    holdout: float = 0.25
    seed: int = 0
    redact: Sequence[str] = ()
    hashed: Sequence[str] = ()


@dataclass(frozen=True)
class TrainedModel:
    """Fitted pipeline, and the held-out rows with its predictions: `reference`, as `register` takes it."""

    pipeline: Pipeline
    plan: TrainingPlan
    task: Task
    inputs: Inputs
    reference: pd.DataFrame
    metrics: Mapping[str, float]
    positive_label: str | None
    rows: int
    """Number of rows that the model was fitted to."""
    started_at: datetime
    finished_at: datetime
    warnings: Sequence[TrainingWarning] = ()


def train(frame: pd.DataFrame, plan: TrainingPlan, tell: Tell = lambda _: None) -> TrainedModel:
    """Fit a pipeline and evaluate it on held-out rows. Report progress to `tell`. Raises TrainingError."""
    started = datetime.now(UTC)
    if not 0 < plan.holdout < 1:
        raise TrainingError(f"--holdout: must be above 0 and below 1, not {plan.holdout:g}")
    if plan.target not in frame.columns:
        raise TrainingError(f"--target: no column {plan.target!r} in the table; it has {', '.join(frame.columns)}")
    if not all(isinstance(name, str) for name in frame.columns):
        raise TrainingError(f"columns: names must be texts, not {', '.join(map(repr, frame.columns))}")
    if not frame.index.is_unique:  # the rows of the parts are selected by the index
        frame = frame.reset_index(drop=True)
    target = target_of(frame, plan.target)
    check_hidden(frame, plan.target, {"--redact": plan.redact, "--hash": plan.hashed})
    known = frame.loc[target.index]
    if len(known) < FEWEST_ROWS:
        raise TrainingError(f"{len(known)} rows with a {plan.target!r} are too few: give {FEWEST_ROWS} at least")
    inputs = inputs_of(known, plan.target, plan.ignore, plan.categorical)
    task = plan.task or task_of(target)
    _check_target(target, task)
    truth = _truth(target, task)
    positive = _checked(truth, task, plan)
    tell(f"{len(known):,} rows, {len(inputs.kinds)} features, {task} ({len(frame) - len(known):,} rows without target)")
    seen, unseen = _parted(target, task, plan)
    pipeline = pipeline_of(plan.estimator, inputs.kinds, task, plan.seed)
    begun = time.perf_counter()
    _fit(pipeline, inputs.frame.loc[seen], truth.loc[seen], tell)
    tell(f"fitted to {len(seen):,} rows in {time.perf_counter() - begun:.1f} s; {len(unseen):,} are held out")
    answers = _answers(pipeline, inputs.frame.loc[unseen], task, positive)
    found = _metrics(task, truth.loc[unseen], answers, pipeline, positive)
    reference = inputs.frame.loc[unseen].assign(**answers, **{plan.target: target.loc[unseen]}).reset_index(drop=True)
    warned = [
        *leak_warnings(inputs, truth, task, seen, unseen),
        *order_warnings(inputs, target, times_of(known, plan.ignore)),
        *baseline_warnings(plan.target, task, truth.loc[unseen], np.asarray(answers["prediction"]), found),
    ]
    return TrainedModel(
        pipeline, plan, task, inputs, reference, found, positive, len(seen), started, datetime.now(UTC), warned
    )  # fmt: skip


def task_of(target: pd.Series) -> Task:
    """Return the task by the target: two values are binary; text, booleans and few whole numbers multiclass."""
    distinct = target.nunique()
    if distinct == 2:
        return "binary"
    if not pd.api.types.is_numeric_dtype(target.dtype) or pd.api.types.is_bool_dtype(target.dtype):
        return "multiclass"
    whole = bool((target % 1 == 0).all())
    return "multiclass" if whole and distinct <= MAX_LABELS else "regression"


def _check_target(target: pd.Series, task: Task) -> None:
    name = target.name
    if task == "regression":
        if not pd.api.types.is_numeric_dtype(target.dtype) or not np.isfinite(target.to_numpy(np.float64)).all():
            raise TrainingError(f"--target: {name!r} holds more than finite numbers, which a regression needs")
        return
    counts = target.value_counts()
    if len(counts) < 2:
        raise TrainingError(f"--target: {name!r} has one value only, {counts.index[0]!r}; there is nothing to learn")
    if task == "binary" and len(counts) != 2:
        raise TrainingError(f"--task binary: {name!r} has {len(counts)} values, not two")
    if len(counts) > len(target) / 4:
        raise TrainingError(f"--target: {name!r} has {len(counts):,} classes in {len(target):,} rows; is it an id?")
    rare = [str(label) for label, count in counts.items() if count < 4]
    if rare:
        words = f"--target: too few rows of {', '.join(rare)}: give 4 of each class at least, or drop these rows"
        raise TrainingError(words)


def _truth(target: pd.Series, task: Task) -> pd.Series:
    """Return the target in the type of the model's predictions: whole numbers as integers, even where a gap made
    them floats.
    """
    if task == "regression":
        return target.astype(np.float64)
    if pd.api.types.is_float_dtype(target.dtype) and bool((target % 1 == 0).all()):
        return target.astype(np.int64)
    numeric = pd.api.types.is_numeric_dtype(target.dtype)  # booleans too
    return target if numeric else target.astype(object).map(lambda v: v if isinstance(v, str) else spelled(v))


def _parted(target: pd.Series, task: Task, plan: TrainingPlan) -> tuple[pd.Index, pd.Index]:
    stratify = None if task == "regression" else target.astype(str)
    try:
        seen, unseen = train_test_split(target.index, test_size=plan.holdout, random_state=plan.seed, stratify=stratify)
    except ValueError as error:
        raise TrainingError(f"--holdout {plan.holdout:g}: {error}") from None
    return pd.Index(seen).sort_values(), pd.Index(unseen).sort_values()


def _fit(pipeline: Pipeline, frame: pd.DataFrame, truth: pd.Series, tell: Tell) -> None:
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", ConvergenceWarning)
            pipeline.fit(frame, truth)
    except ValueError as error:
        raise TrainingError(f"the model cannot be fitted: {' '.join(str(error).split())}") from error
    if any(issubclass(warning.category, ConvergenceWarning) for warning in found):
        tell("caution: the fit has not converged; --estimator trees may do better")


def _checked(truth: pd.Series, task: Task, plan: TrainingPlan) -> str | None:
    """Return the positive label of two classes. Raises TrainingError where the plan names unknown classes."""
    distinct = [] if task == "regression" else sorted(truth.unique().tolist())
    classes = [spelled(label) for label in distinct]
    if plan.positive_label is not None and (task != "binary" or plan.positive_label not in classes):
        words = f"one of {', '.join(classes)}" if task == "binary" else f"for two classes only; this is {task}"
        raise TrainingError(f"--positive-label: must be {words}, not {plan.positive_label!r}")
    for label in plan.labels:
        if label not in classes:
            raise TrainingError(f"--label {label}=…: the classes are {', '.join(classes) or 'none (regression)'}")
    return (plan.positive_label or classes[-1]) if task == "binary" else None


def _answers(pipeline: Pipeline, frame: pd.DataFrame, task: Task, positive: str | None) -> dict[str, object]:
    """Return the predictions, and the probability of the positive class, or of the predicted class of more than two."""
    answers: dict[str, object] = {"prediction": pipeline.predict(frame)}
    if task != "regression":
        each = pipeline.predict_proba(frame)
        answers["probability"] = each.max(axis=1) if positive is None else each[:, classes_of(pipeline).index(positive)]
    return answers


def _metrics(
    task: Task, truth: pd.Series, answers: Mapping[str, object], pipeline: Pipeline, positive: str | None
) -> dict[str, float]:
    """Return the metrics, with the names and definitions by which the stream judges."""
    told = np.asarray(answers["prediction"])
    if task == "regression":
        return {
            "mae": float(measure.mean_absolute_error(truth, told)),
            "rmse": float(measure.root_mean_squared_error(truth, told)),
            "r2": float(measure.r2_score(truth, told)),
        }
    accuracy = float(measure.accuracy_score(truth, told))
    if task == "multiclass":
        precision, recall, f1, _ = measure.precision_recall_fscore_support(
            truth, told, average="macro", zero_division=0.0
        )
        return {
            "accuracy": accuracy, "macro_f1": float(f1),
            "macro_precision": float(precision), "macro_recall": float(recall),
        }  # fmt: skip
    label = pipeline.classes_[classes_of(pipeline).index(str(positive))]
    probability = np.asarray(answers["probability"], np.float64)
    actual = (np.asarray(truth) == label).astype(int)
    scores = {
        name: float(score(truth, told, pos_label=label, zero_division=0.0))
        for name, score in (
            ("precision", measure.precision_score), ("recall", measure.recall_score), ("f1", measure.f1_score),
        )
    }  # fmt: skip
    return {
        "accuracy": accuracy, **scores, "roc_auc": float(measure.roc_auc_score(actual, probability)),
        "average_precision": float(measure.average_precision_score(actual, probability)),
        "log_loss": float(measure.log_loss(actual, probability, labels=[0, 1])),
        "brier": float(measure.brier_score_loss(actual, probability)),
    }  # fmt: skip
