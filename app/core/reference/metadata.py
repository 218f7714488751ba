"""Conversion of a model's metadata to the core's terms: kinds of features, names of metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from app.core.reference.profile import Kind

T = TypeVar("T")

METRICS = (
    "accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "log_loss", "brier", "macro_f1",
    "macro_precision", "macro_recall", "mae", "rmse", "r2",
)  # fmt: skip
"""Metrics by which any kind of model is judged."""
METRIC_ALIASES = {"f1_score": "f1", "auc_roc": "roc_auc"}
"""Other names of metrics, used by the first configuration files and by scikit-learn's functions."""
METRIC_NAMES = (*METRICS, *METRIC_ALIASES)
"""Names of metrics that a configuration may use."""


def metric_name(name: str) -> str:
    """Return the name that a metric has in reports; a name that is no alias is returned unchanged."""
    return METRIC_ALIASES.get(name, name)


def by_metric_name(values: Mapping[str, T]) -> dict[str, T]:
    """Return the same values by the metrics' own names, in their order.

    Raises ValueError where a metric is given under two names.
    """
    found: dict[str, T] = {}
    for name, value in values.items():
        own = metric_name(name)
        if own in found:
            raise ValueError(f"{own}: is given twice; {_other(own)} is another name of it, leave one out")
        found[own] = value
    return found


def _other(own: str) -> str:
    return next(alias for alias, name in METRIC_ALIASES.items() if name == own)


def kinds_by_stats(features: Sequence[str], stats: Mapping[str, object]) -> dict[str, Kind]:
    """Return the features' kinds, in order: numeric with mean and standard deviation in `stats`, else categorical."""
    return {name: "numeric" if _is_numeric(stats.get(name)) else "categorical" for name in features}


def _is_numeric(stats: object) -> bool:
    return isinstance(stats, Mapping) and all(
        isinstance(stats.get(name), (int, float)) and not isinstance(stats.get(name), bool) for name in ("mean", "std")
    )
