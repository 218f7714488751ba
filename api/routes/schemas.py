"""Responses of the routes that have no struct of their own."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from api.intake.bodies import Rejection
from api.served.spooling import SpoolNow
from app.alerting.receivers.requests import ShownReceiver
from app.history.kinds import HISTORY_KINDS, HistoryKind
from app.read_model.summary import ModelSummary
from topics.events import AlertEvent, DriftReport, PerformanceReport, SilenceEvent

Next = str | None
"""`cursor` of the rest of a list; null at its end."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """Number of events that Kafka has, and the events that were rejected.

    `prediction_ids`: ids of the accepted events in their order, where any id was created here. `waiting`: requests and
    responses of inferences that Kafka has, for a worker to pair. `unregistered`: number of events whose model version
    is not registered. `warnings`: a line for each of these versions, and for each unknown field.
    """

    accepted: int
    rejected: list[Rejection]
    prediction_ids: list[str] | UnsetType = UNSET
    waiting: int | UnsetType = UNSET
    unregistered: int | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """Result of sending feedback; where some was rejected, how much was accepted, and the others by position.

    `warnings`: a line for each unknown field.
    """

    status: Literal["success", "partial"]
    message: str
    accepted: int | UnsetType = UNSET
    rejected: list[Rejection] | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET


class Library(msgspec.Struct, frozen=True):
    """A library's version when the model was saved (null: not recorded) and here (null: not installed)."""

    trained: str | None
    here: str | None


class ServedHere(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is served. `skew`: the libraries that differ from training; `examples`: how many were checked."""

    model: str
    model_version: str
    model_type: str
    trained: str
    sha256: str
    examples: str
    libraries: dict[str, Library]
    skew: list[str]
    cautions: list[str]


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """The service, the model of POST /predict (null: none), and all `models` that the API serves."""

    service: str
    version: str
    dashboard: str
    models: list[ServedHere]
    model: str | None
    model_version: str | None
    model_type: str | None
    trained: str | UnsetType = UNSET
    training_metrics: dict[str, Any] | UnsetType = UNSET
    features: dict[str, str] | UnsetType = UNSET
    cautions: list[str] | UnsetType = UNSET


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Liveness of the API."""

    status: Literal["healthy"]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Readiness. `workers`: the workers that report; `lag`: records still to be read by them, by topic.

    `unheard`: why no worker is available, where the request does not require one; else empty. `broker`: why Kafka does
    not answer, where predictions are given without it. `spool`: given where `when_unrecorded` is `spool`, or any
    prediction waits.
    """

    status: Literal["ready"]
    broker: str
    views: str
    unheard: str
    workers: int
    lag: dict[str, int]
    behind_seconds: float
    spool: SpoolNow | UnsetType = UNSET


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """Every model version; `revision` rises with every change."""

    revision: int
    models: list[ModelSummary]


class DriftReports(msgspec.Struct, frozen=True, kw_only=True):
    """A model version's drift reports, oldest window first."""

    model: str
    model_version: str
    reports: list[DriftReport]


class PerformanceReports(msgspec.Struct, frozen=True, kw_only=True):
    """A model version's performance reports, oldest window first."""

    model: str
    model_version: str
    reports: list[PerformanceReport]


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """The newest transition of each of a model version's alerts, newest alert first."""

    model: str
    model_version: str
    alerts: list[AlertEvent]


class AlertNow(AlertEvent, frozen=True, kw_only=True):
    """An alert, with the silence that applies now."""

    silenced_by: str | None


class SentAlert(AlertEvent, frozen=True, kw_only=True):
    """A transition as it was sent; `new` is false where the same one was known already, and nothing was sent."""

    new: bool


class AllAlerts(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts: firing ones first, then by their start, newest first; `total`: their number."""

    total: int
    alerts: list[AlertNow]
    next: Next


class Silence(SilenceEvent, frozen=True, kw_only=True):
    """A silence and its state."""

    state: str


class Silences(msgspec.Struct, frozen=True, kw_only=True):
    """Silences in the order of their start."""

    silences: list[Silence]


class Receivers(msgspec.Struct, frozen=True, kw_only=True):
    """Receivers by name."""

    receivers: list[ShownReceiver]


def history_shape(kind: HistoryKind) -> type[msgspec.Struct]:
    """Return the response type for a kind of history, such as TrainingHistory."""
    fields: list[tuple[str, Any]] = [(kind.name, list[kind.row]), ("next", Next)]  # type: ignore[name-defined]
    name = f"{kind.singular.title()}History"
    return msgspec.defstruct(name, fields, frozen=True, kw_only=True, namespace={"__doc__": kind.description})


HISTORY = {kind.path: history_shape(kind) for kind in HISTORY_KINDS}
"""Responses of the history, by path."""


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True):
    """Problem document of RFC 9457. `detail` names the wrong field; some problems have further members."""

    type: str
    title: str
    status: int
    detail: str
