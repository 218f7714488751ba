"""Profile of a reference table, with the decisions and notes made while reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from msgspec.structs import replace as replaced

from app.core.config.close_names import did_you_mean
from app.core.profile_builder import HowRead, build_profile, outcome_rows_of
from app.core.reference.profile import Profile, with_identity
from app.core.values.reading import Reading, name_of, names
from app.registration.delays import delay_notes, retention_notes
from app.registration.hiding import hidden_table, hiding_of, registered, without_redacted
from app.registration.monitoring import MonitoringError, MonitoringFile
from app.registration.roles import Roles, features_of, roles_of
from app.registration.task import TaskDecision, task_of
from app.registration.unused_names import unused_names
from app.registration.usual import values_in_order, with_usual
from app.tables import CellTable, TableError
from app.tables.json_cells import class_probabilities
from topics.events import Hidden

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMED_CELLS = 3
"""Most invalid cells of a column that are named by row."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Result of reading a reference table: its profile, the reasons for the kinds of its features, and notes."""

    profile: Profile
    roles: Roles
    notes: tuple[str, ...]
    hidden: Hidden | None = None


def profile_of(
    model: str,
    version: str,
    frame: pd.DataFrame,
    file: MonitoringFile | None = None,
    baseline: Mapping[str, float] | None = None,
    key: bytes | None = None,
) -> Profile:
    """Return the profile of a reference table (see `read_reference`)."""
    return read_reference(model, version, frame, file, baseline, key).profile


def read_reference(
    model: str,
    version: str,
    frame: pd.DataFrame,
    file: MonitoringFile | None = None,
    baseline: Mapping[str, float] | None = None,
    key: bytes | None = None,
    others: Iterable[str] = (),
) -> Reference:
    """Return the profile of a reference table, with decisions and notes.

    `baseline` replaces the metrics computed from the table, by name. `key`: the key of hashed columns. `others`:
    names of further columns, of the rows to be judged.

    Raises TableError or MonitoringError that names the column or key.
    """
    file = MonitoringFile() if file is None else file
    hiding, given, columns = hiding_of(file.columns, key), frame, file.columns
    if hiding is not None:
        frame, file = hidden_table(frame, hiding), replaced(file, columns=without_redacted(file.columns))
    table = CellTable(frame)
    roles = roles_of(table, file.columns)
    _check_roles(table, roles, file)
    task = task_of(table, roles, file)
    probability = _probability(table, roles, file, task)
    truth = None if roles.target is None or task.task == "features" else _outputs(table, roles.target, task)
    told = None if roles.prediction is None else _outputs(table, roles.prediction, task)
    features = features_of(table, roles.decisions)
    try:
        profile = build_profile(
            model, version, task.task, features, told, probability, truth,
            labels=file.labels, positive_label=file.positive_label or _likelier(file, task, told, probability),
            read=_how_read(table, roles, file, task),
        )  # fmt: skip
    except ValueError as error:
        raise TableError(str(error)) from None
    if baseline:
        profile = with_identity(replace(profile, baseline={**profile.baseline, **baseline}))
    values = values_in_order(profile, list(features.values()), told, probability)
    outcomes = None
    if told is not None and truth is not None and profile.baseline:
        outcomes = outcome_rows_of(profile, told, probability, truth, task.reading)
    profile, more = with_usual(profile, table, file.columns, file.monitoring.windows, values, outcomes)
    late = delay_notes(table, file.columns, file.monitoring.windows.retention)
    unused = unused_names(columns, baseline or (), {*map(str, given.columns), *others})
    short = retention_notes(file.monitoring.windows)
    notes = (*_notes(table, roles, task), *more, *late, *short, *unused)
    return Reference(profile, roles, notes, registered(given, columns, roles, hiding))


def _check_roles(table: CellTable, roles: Roles, file: MonitoringFile) -> None:
    for name in roles.decisions:
        cells = table.cells(name)
        if np.isnan(cells).all() if isinstance(cells, np.ndarray) else not any(_has_value(c) for c in set(cells)):
            raise TableError(f"column {name!r} has no values: list it under columns.ignore")
    absent = [name for name in file.monitoring.alerting.critical_features if name not in roles.decisions]
    if absent:
        why = "; ".join(f"{name} {roles.left_out[name]}" for name in absent if name in roles.left_out)
        hint = (
            f" ({why}; columns.features puts it back)" if why else did_you_mean(absent[0], roles.decisions, before="; ")
        )
        raise MonitoringError(f"alerting.critical_features: {', '.join(absent)} is not one of the features{hint}")


def _has_value(cell: object) -> bool:
    return cell is not None and cell != "" and cell == cell  # noqa: PLR0124 (NaN is not itself)


def _outputs(table: CellTable, name: str, task: TaskDecision) -> NDArray[np.float64] | Sequence[str | None]:
    """Return predictions or truth: numbers of a regression, else names of labels."""
    if task.task == "regression":
        floats, invalid = table.numbers(name, task.reading)
        if invalid.any() and invalid.sum() >= np.isfinite(floats).sum():
            raise TableError(f"column {name!r} holds no numbers, which a regression needs")
        return floats
    return names(table.listed(name), task.reading)


def _how_read(table: CellTable, roles: Roles, file: MonitoringFile, task: TaskDecision) -> HowRead:
    invalid = {
        name: int(table.numbers(name, decision.reading)[1].sum())
        for name, decision in roles.decisions.items()
        if decision.kind == "numeric"
    }
    return HowRead(
        features={name: decision.reading for name, decision in roles.decisions.items()},
        invalid={name: count for name, count in invalid.items() if count},
        outputs=task.reading,
        ignored=(*file.columns.ignore, *roles.left_out),
    )


def _probability(
    table: CellTable, roles: Roles, file: MonitoringFile, task: TaskDecision
) -> NDArray[np.float64] | None:
    """Return the probability of the positive class, or of the predicted class where there are more than two; one per
    row.
    """
    if task.task == "features" or (roles.probability is None and not roles.probabilities):
        return None
    if roles.probability is not None:
        given = table.probabilities(roles.probability)
        where = f"column {roles.probability!r}"
    else:
        given = class_probabilities(table, roles.probabilities)
        where = f"columns {', '.join(map(repr, roles.probabilities.values()))}"
    if any(isinstance(one, dict) for one in given):
        labels = _judged_labels(table, roles, file, task, where)
        spelled = [
            {name_of(label, task.reading): p for label, p in one.items()} if isinstance(one, dict) else one
            for one in given
        ]
        given = [one.get(label) if isinstance(one, dict) else one for one, label in zip(spelled, labels, strict=True)]
    values = np.array(given, np.float64)
    with np.errstate(invalid="ignore"):
        if ((values < 0) | (values > 1)).any():
            raise TableError(f"{where} has values outside 0 to 1, so it holds no probabilities")
    return values


def _judged_labels(
    table: CellTable, roles: Roles, file: MonitoringFile, task: TaskDecision, where: str
) -> Sequence[str | None]:
    """Return, for each row, the label whose probability is judged."""
    if task.task == "multiclass":
        assert roles.prediction is not None
        return names(table.listed(roles.prediction), task.reading)
    if file.positive_label is None and not roles.probabilities:
        raise MonitoringError(f"positive_label: needed, because {where} holds one probability a class")
    label = file.positive_label or (file.labels or tuple(roles.probabilities))[-1]
    return [name_of(label, task.reading)] * len(table)


def _likelier(
    file: MonitoringFile,
    task: TaskDecision,
    told: NDArray[np.float64] | Sequence[str | None] | None,
    probability: NDArray[np.float64] | None,
) -> str | None:
    """Return the label of a binary model's probability where none is given: the predicted label with the higher mean.

    Return None where the means do not decide.
    """
    if task.task != "binary" or file.labels or probability is None or told is None:
        return None
    means = pd.Series(probability).groupby(np.array(told, dtype=object)).mean()
    return str(means.idxmax()) if means.notna().all() and means.nunique() == 2 else None


def _notes(table: CellTable, roles: Roles, task: TaskDecision) -> Sequence[str]:
    """Return the notes about a reference, a line each."""
    notes = [f"task {task.task}: {task.reason}"]
    for key, name in roles.by_name:
        if name != "prediction":
            notes.append(f"{name} is taken as the {key}, by its name (columns.{key} names another)")
    for name, why in roles.left_out.items():
        notes.append(f"{name} is left out: it {why} (columns.features, columns.numeric or columns.categorical keep it)")
    for name, decision in roles.decisions.items():
        if decision.kind == "numeric":
            notes += _invalid_cells(table, name, decision.reading)
    return notes


def _invalid_cells(table: CellTable, name: str, reading: Reading) -> list[str]:
    cells = table.cells(name)
    if isinstance(cells, np.ndarray):
        return []
    rows = np.flatnonzero(table.numbers(name, reading)[1]).tolist()
    if not rows:
        return []
    named = ", ".join(f"row {row + 1} {str(cells[row])[:40]!r}" for row in rows[:NAMED_CELLS])
    more = f" and {len(rows) - NAMED_CELLS:,} more" if len(rows) > NAMED_CELLS else ""
    return [f"{name}: {len(rows):,} of {len(cells):,} cells are no numbers: {named}{more}"]
