"""Exports of the history as tables, with the columns named as in events."""

from __future__ import annotations

import pandas as pd

MOST_ROWS = 1_000_000
"""Recorded rows that become a reference, at most."""
EXPORTED = frozenset({"prediction_id", "timestamp", "prediction", "probability", "actual", "feedback_at"})
"""Columns of every export. Another table with all of them is read unchanged, but for empty columns."""
FLAT = "prediction_value"
"""Column of an export as Parquet, whose other names are those of `app.history.parquet`."""
ENVELOPE = ("model", "model_version", "metadata", "prediction_value", "actual_value")
TRUTH_VALUES = {"true": True, "false": False}


def plain_export(frame: pd.DataFrame) -> pd.DataFrame:
    """Return an export as the table of its predictions; any other table unchanged.

    Outputs and truth that no row has are left out: of a model without predictions, or without feedback.
    """
    if not set(frame.columns) >= EXPORTED:
        return frame
    attrs = frame.attrs
    if FLAT in frame.columns:
        frame = _unflattened(frame)
    empty = [name for name in ("prediction", "probability", "actual", "feedback_at") if _is_empty(frame[name])]
    frame = frame.drop(columns=empty)
    frame.attrs = attrs
    return frame


def _unflattened(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of an export as Parquet with plain names; the value of a label in place of its spelling."""
    features = {f"feature.{name}": name for name in _within(frame, "feature.")}
    by_class = {f"probability.{name}": name for name in _within(frame, "probability.")}
    metadata = [f"metadata.{name}" for name in _within(frame, "metadata.")]
    probability = frame["probability"].astype(object).where(frame["probability"].notna(), None)
    if by_class:
        each = frame[list(by_class)].rename(columns=by_class).to_dict("records")
        probability = pd.Series(
            [_by_class(row) if whole is None else whole for whole, row in zip(probability, each, strict=True)],
            index=frame.index,
            dtype=object,
        )
    kept = frame.drop(columns=[*by_class, *metadata, *(name for name in ENVELOPE if name in frame.columns)])
    kept = kept.assign(
        prediction=_labels(frame["prediction"], frame["prediction_value"]),
        actual=_labels(frame["actual"], frame["actual_value"]),
        probability=probability,
    )
    return kept.rename(columns=features)


def _within(frame: pd.DataFrame, prefix: str) -> list[str]:
    return [str(name).removeprefix(prefix) for name in frame.columns if str(name).startswith(prefix)]


def _by_class(row: dict[str, float]) -> dict[str, float] | None:
    return {name: p for name, p in row.items() if pd.notna(p)} or None


def _labels(spelled: pd.Series, values: pd.Series) -> pd.Series:
    """Return labels as they were: numbers, truth values, or texts. An empty spelling is no label."""
    found = [
        None if pd.isna(text) or text == "" else text if pd.isna(value) else TRUTH_VALUES.get(text, _number(value))
        for text, value in zip(spelled.tolist(), values.tolist(), strict=True)
    ]
    return pd.Series(found, index=spelled.index, dtype=object)


def _number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else float(value)


def _is_empty(column: pd.Series) -> bool:
    return bool((column.isna() | (column == "")).all())
