"""A model's life: it is trained, deployed, and asked to be trained anew."""

from __future__ import annotations

from typing import Literal

import msgspec

from topics.events.base import Event, Moment, Name, Scalar


class TrainingRunEvent(Event, frozen=True, kw_only=True):
    """One training of one model version, done or failed.

    `metrics` are those of the rows held out, `sha256` is that of the bundle's `model.joblib`. `is_retraining`: a
    version was there before; `environment`: where it ran.
    """

    run_id: Name
    model: Name
    model_version: Name
    model_type: str
    status: Literal["completed", "failed"]
    started_at: Moment
    finished_at: Moment
    rows: int
    features: int
    metrics: dict[str, float]
    parameters: dict[str, Scalar]
    dataset: str = ""
    sha256: str = ""
    detail: str = ""
    is_retraining: bool = False
    environment: str = ""
    metadata: dict[str, Scalar] = msgspec.field(default_factory=dict)


class DeploymentEvent(Event, frozen=True, kw_only=True):
    """A model version went into service: `register` watches it from now on, `api` serves it, `external` is reported.

    `environment`: where; `status`: how it stands there, in the words of whoever reports it.
    """

    model: Name
    model_version: Name
    deployed_at: Moment
    source: Literal["register", "api", "external"]
    model_type: str = ""
    detail: str = ""
    environment: str = ""
    status: str = "active"
    metadata: dict[str, Scalar] = msgspec.field(default_factory=dict)


class RetrainingEvent(Event, frozen=True, kw_only=True):
    """A model version should be trained anew, why, and what showed it.

    `alert_id` names the alert that asked, empty where an offline check did.
    """

    signal_id: Name
    model: Name
    model_version: Name
    requested_at: Moment
    source: Literal["stream", "check"]
    reason: Literal["drift", "performance"]
    message: str
    evidence: dict[str, object]
    alert_id: str = ""
