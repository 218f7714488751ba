"""What the routes answer, where no struct of their own says it."""

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
"""The `cursor` of the rest of a list; null where there is none."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """How many events Kafka has, and those that were not taken.

    `prediction_ids`: of the accepted in their order, where any was made here. `waiting`: requests and responses
    of inferences that Kafka has, for a worker to pair. `unregistered`: of the events, those of model versions that are
    not registered.
    """

    accepted: int
    rejected: list[Rejection]
    prediction_ids: list[str] | UnsetType = UNSET
    waiting: int | UnsetType = UNSET
    unregistered: int | UnsetType = UNSET


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """Whether all feedback was taken; where some was not, how much was, and the others by position."""

    status: Literal["success", "partial"]
    message: str
    accepted: int | UnsetType = UNSET
    rejected: list[Rejection] | UnsetType = UNSET


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
    """The service, the model that POST /predict asks (null: none), and all `models` that it serves."""

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
    """Alive."""

    status: Literal["healthy"]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Able to work. `workers`: those that report; `lag`: records still to be read by them, by topic.

    `unheard`: why no worker can be counted on, where that was not asked for; else empty. `broker`: why it does not
    answer, where predictions are given without it. `spool`: where `when_unrecorded` is `spool`, or anything waits.
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
    """Every model version; `revision` rises with everything that is new."""

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
    """An alert, and the silence that it is under now."""

    silenced_by: str | None


class SentAlert(AlertEvent, frozen=True, kw_only=True):
    """A transition as it was sent; `new` is false where the same was known already, and nothing was sent."""

    new: bool


class AllAlerts(msgspec.Struct, frozen=True, kw_only=True):
    """What fires first, then by their start, newest first; `total`: how many there are."""

    total: int
    alerts: list[AlertNow]
    next: Next


class Silence(SilenceEvent, frozen=True, kw_only=True):
    """A silence, and whether it is in force."""

    state: str


class Silences(msgspec.Struct, frozen=True, kw_only=True):
    """Silences in the order in which they begin."""

    silences: list[Silence]


class Receivers(msgspec.Struct, frozen=True, kw_only=True):
    """Receivers by name."""

    receivers: list[ShownReceiver]


def history_shape(kind: HistoryKind) -> type[msgspec.Struct]:
    """Return what the route of a kind of history responds with: TrainingHistory, say."""
    fields: list[tuple[str, Any]] = [(kind.name, list[kind.row]), ("next", Next)]  # type: ignore[name-defined]
    name = f"{kind.singular.title()}History"
    return msgspec.defstruct(name, fields, frozen=True, kw_only=True, namespace={"__doc__": kind.description})


HISTORY = {kind.path: history_shape(kind) for kind in HISTORY_KINDS}
"""The responses of the history by their paths."""


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457: what is wrong. `detail` names the field; some problems have further members."""

    type: str
    title: str
    status: int
    detail: str
