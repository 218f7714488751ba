"""A model's features as its metadata has them: which are numbers, which are categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.core.profile import Kind


def kinds_by_stats(features: Sequence[str], stats: Mapping[str, object]) -> dict[str, Kind]:
    """Numeric where `feature_stats` has a mean and a standard deviation, categorical otherwise; in their order."""
    return {name: "numeric" if _is_numeric(stats.get(name)) else "categorical" for name in features}


def _is_numeric(stats: object) -> bool:
    return isinstance(stats, Mapping) and all(
        isinstance(stats.get(name), (int, float)) and not isinstance(stats.get(name), bool) for name in ("mean", "std")
    )
