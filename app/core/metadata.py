"""What a model's metadata says in the words of the core: kinds of features, names of metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.core.profile import Kind

METRICS = (
    "accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "log_loss", "brier", "macro_f1",
    "macro_precision", "macro_recall", "mae", "rmse", "r2",
)  # fmt: skip
"""Every metric that any kind of model is judged by."""


def kinds_by_stats(features: Sequence[str], stats: Mapping[str, object]) -> dict[str, Kind]:
    """Numeric where `feature_stats` has a mean and a standard deviation, categorical otherwise; in their order."""
    return {name: "numeric" if _is_numeric(stats.get(name)) else "categorical" for name in features}


def _is_numeric(stats: object) -> bool:
    return isinstance(stats, Mapping) and all(
        isinstance(stats.get(name), (int, float)) and not isinstance(stats.get(name), bool) for name in ("mean", "std")
    )
