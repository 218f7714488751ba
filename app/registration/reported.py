"""Training runs and deployments reported by other systems, for the command line and the API."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from math import isfinite
from typing import Literal

import msgspec
from msgspec import Struct

from app.core.reference.metadata import by_metric_name
from app.core.reference.names import wrong_name
from app.core.values.times import believable
from app.kafka.producer import Producer
from topics.events import Action, DeploymentEvent, Scalar, TrainingRunEvent
from topics.events.base import Moment, Name
from topics.registry import DEPLOYMENTS, TRAINING_RUNS, Topic

LONGEST_TEXT, LONGEST_DETAIL, LONGEST_WORD = 200, 10_000, 100
MOST_BYTES = 1 << 16
"""Most bytes of `metadata`, of `parameters` and of `metrics` as JSON."""
NUL = "\x00"


class ReportError(ValueError):
    """Error in a reported training run or deployment; starts with the field."""


class TrainingRunRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training run as reported. A run with a known `run_id` replaces the earlier report.

    Without `finished_at` the run ended now; without `started_at` it began at its end.
    """

    model: Name
    model_version: Name
    run_id: Name | None = None
    model_type: str = ""
    status: Literal["completed", "failed"] = "completed"
    started_at: Moment | None = None
    finished_at: Moment | None = None
    rows: int = 0
    features: int = 0
    metrics: dict[str, float] = {}
    parameters: dict[str, Scalar] = {}
    dataset: str = ""
    sha256: str = ""
    detail: str = ""
    is_retraining: bool = False
    environment: str = ""
    metadata: dict[str, Scalar] = {}


class DeploymentRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Deployment as reported, at `deployed_at` or now.

    The same version at the same time, in the same environment and of the same `status`, is the same deployment.
    """

    model: Name
    model_version: Name
    deployed_at: Moment | None = None
    model_type: str = ""
    detail: str = ""
    environment: str = ""
    status: str = "active"
    metadata: dict[str, Scalar] = {}


def training_run_of(asked: TrainingRunRequest, now: datetime) -> TrainingRunEvent:
    """Return the event of a reported training run, with canonical names of metrics. Raises ReportError."""
    _check(asked, "environment", "model_type")
    for name in ("rows", "features"):
        if not 0 <= getattr(asked, name) < 1 << 62:
            raise ReportError(f"{name}: must be a count")
    finished = asked.finished_at or now
    started = asked.started_at or finished
    if started > finished:
        raise ReportError("started_at: must not be after finished_at")
    try:
        metrics = by_metric_name(asked.metrics)
    except ValueError as error:
        raise ReportError(f"metrics.{error}") from None
    for name, value in metrics.items():
        if not isfinite(value):
            raise ReportError(f"metrics.{name}: must be finite")
    given = msgspec.structs.asdict(asked) | {
        "run_id": asked.run_id or uuid.uuid4().hex, "started_at": started, "finished_at": finished, "metrics": metrics,
    }  # fmt: skip
    return TrainingRunEvent(**given)


def deployment_of(asked: DeploymentRequest, now: datetime) -> DeploymentEvent:
    """Return the event of a reported deployment. Raises ReportError."""
    _check(asked, "environment", "status", "model_type")
    if not asked.status:
        raise ReportError(f"status: must have 1 to {LONGEST_WORD} characters")
    given = msgspec.structs.asdict(asked) | {"deployed_at": asked.deployed_at or now}
    return DeploymentEvent(**given, source="external")


Reported = TrainingRunEvent | DeploymentEvent
KINDS: dict[type[Reported], tuple[Topic, Action]] = {
    TrainingRunEvent: (TRAINING_RUNS, "training-run.added"),
    DeploymentEvent: (DEPLOYMENTS, "deployment.added"),
}
"""Topic and audit action of each kind of reported event."""


async def send_reported(producer: Producer, event: Reported) -> None:
    """Send a reported event. Return once Kafka has acknowledged it. Raises BrokerUnavailable, RecordRefused."""
    topic, _ = KINDS[type(event)]
    await producer.send(topic, f"{event.model}/{event.model_version}".encode(), msgspec.json.encode(event))


def detail_of(event: Reported) -> dict[str, str]:
    """Return the details of an event for the audit, in addition to its model version."""
    found = {"environment": event.environment, "status": event.status}
    return found | ({"run_id": event.run_id} if isinstance(event, TrainingRunEvent) else {})


def _check(asked: TrainingRunRequest | DeploymentRequest, *words: str) -> None:
    """Check the fields of a request. Raises ReportError for the first invalid field."""
    for name in ("model", "model_version"):
        if wrong := wrong_name(getattr(asked, name)):
            raise ReportError(f"{name}: {wrong}")
    for name, value in msgspec.structs.asdict(asked).items():
        if isinstance(value, datetime) and not believable(value.timestamp()):
            raise ReportError(f"{name}: must be from 1970 to 2100")
        if isinstance(value, dict) and len(msgspec.json.encode(value)) > MOST_BYTES:
            raise ReportError(f"{name}: must have at most {MOST_BYTES >> 10} KiB as JSON")
        if isinstance(value, str):
            most = LONGEST_DETAIL if name == "detail" else LONGEST_WORD if name in words else LONGEST_TEXT
            if len(value) > most:
                raise ReportError(f"{name}: must have at most {most:,} characters")
        if any(NUL in text for text in _texts(value)):
            raise ReportError(f"{name}: may not have a NUL character in it")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        yield from (one for one in value.values() if isinstance(one, str))
