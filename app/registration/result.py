"""Result of a registration, as `driftline register --json` and the API return it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from app.core.config.monitoring import Monitoring
from app.core.evaluation.degradation import without_baseline
from app.core.plan import Plan
from app.core.reference.profile import Kind, Profile, Task
from app.core.reference.usual import ReferenceUsual
from app.core.usual.detectable import Detectable
from app.registration.judgeable import detectable_of


class RegisteredVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Registered model version.

    `decided`: the reason for each feature's kind; `left_out`: the reason why a column is no feature; `invalid`: cells
    that are not of their column's kind. `not_judged`: metrics without a baseline. `usual`: differences between the
    reference's own windows; null without times. `plan`: the changes that are found, and how soon; null where the rate
    of predictions is unknown. `decided` and `left_out` are empty for a profile that was made elsewhere.
    """

    model: str
    model_version: str
    profile_id: str
    task: Task
    n: int
    labels: Sequence[str]
    baseline: Mapping[str, float]
    features: Mapping[str, Kind]
    decided: Mapping[str, str]
    invalid: Mapping[str, int]
    left_out: Mapping[str, str]
    notes: Sequence[str]
    not_judged: Mapping[str, str]
    usual: ReferenceUsual | None
    detectable: Sequence[Detectable]
    plan: Plan | None


def registered_version(
    profile: Profile,
    monitoring: Monitoring,
    plan: Plan | None,
    *,
    decided: Mapping[str, str] | None = None,
    left_out: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> RegisteredVersion:
    """Return the result of a registration. `decided`, `left_out` and `notes`: from reading the reference."""
    return RegisteredVersion(
        model=profile.model,
        model_version=profile.model_version,
        profile_id=profile.profile_id,
        task=profile.task,
        n=profile.n,
        labels=profile.labels,
        baseline=profile.baseline,
        features={column.name: column.kind for column in profile.features},
        decided=decided or {},
        invalid={column.name: column.invalid for column in profile.features if column.invalid},
        left_out=left_out or {},
        notes=notes,
        not_judged=without_baseline(profile, monitoring.performance),
        usual=profile.usual,
        detectable=detectable_of(profile, monitoring),
        plan=plan,
    )
