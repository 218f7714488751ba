"""A model's life: it is trained, deployed, and asked to be trained anew."""

from __future__ import annotations

from typing import Literal

from topics.events.base import Event, Moment, Name, Scalar


class TrainingRunEvent(Event, frozen=True, kw_only=True):
    """One training of one model version, done or failed.

    `metrics` are those of the rows held out, `sha256` is that of the bundle's `model.joblib`.
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


class DeploymentEvent(Event, frozen=True, kw_only=True):
    """A model version went into service: `register` watches it from now on, `api` serves it."""

    model: Name
    model_version: Name
    deployed_at: Moment
    source: Literal["register", "api"]
    model_type: str = ""
    detail: str = ""


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
