"""Lifecycle of a model: training, deployment, and requests to retrain."""

from __future__ import annotations

from typing import Literal

import msgspec

from topics.events.base import Event, Moment, Name, Scalar


class TrainingRunEvent(Event, frozen=True, kw_only=True):
    """One training of one model version, completed or failed.

    `metrics` are those of the rows held out, `sha256` is that of the bundle's `model.joblib`. `is_retraining`: an
    earlier version existed. `environment`: where the training ran.
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
    """A deployment of a model version: `register` starts its monitoring, `api` serves it, `external` is reported.

    `environment`: where the version is deployed. `status`: its state there, in the reporter's words.
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
    """Signal that a model version should be retrained, with the reason and the evidence.

    `alert_id` names the alert that caused the signal; it is empty where an offline check did.
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
