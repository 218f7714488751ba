"""GET /history…: what was trained, deployed, predicted, found and told, from the history's database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import Connection

from api.auth import caller_of, check_model
from api.http.parameters import Moment
from api.http.problems import Problem, unavailable
from api.http.responses import answer
from api.services import Services, Serving
from app.history import HistoryError, HistoryTimeout, paging, queries
from app.history.paging import PageOrder
from app.history.wanted import (
    AlertsFilter,
    AuditFilter,
    ChecksFilter,
    DeliveriesFilter,
    DeploymentsFilter,
    HistoryFilter,
    PredictionsFilter,
    TrainingFilter,
)
from topics.events import AlertStatus, Level

router = APIRouter(prefix="/history")

T = TypeVar("T", bound=HistoryFilter)


class Given(NamedTuple):
    """The filters of a question, and where its list goes on."""

    filters: dict[str, Any]
    cursor: str | None


Model = Annotated[str | None, Query(description="only this model", max_length=200)]
Version = Annotated[str | None, Query(description="only this version of it", max_length=200)]
Since = Annotated[Moment | None, Query(description="from this time on")]
Until = Annotated[Moment | None, Query(description="before this time")]
Limit = Annotated[int, Query(ge=1, le=1000, description="the newest so many")]
Cursor = Annotated[str | None, Query(description="the rest of a list: `next` of the part before", max_length=8000)]


Environment = Annotated[str | None, Query(description="only in this environment", max_length=200)]


def filters(most: int) -> Callable[..., Given]:
    """The filters that every question takes; `most`: how many rows are given where nobody says."""

    def which(
        request: Request, model: Model = None, model_version: Version = None, since: Since = None, until: Until = None,
        limit: Limit = most, cursor: Cursor = None,
    ) -> Given:  # fmt: skip
        if model is not None:
            check_model(request, model)
        its = caller_of(request).models
        found = {"models": its, "model": model, "model_version": model_version, "since": since, "until": until,
                 "limit": limit}  # fmt: skip
        return Given(found, cursor)

    return which


Which = Annotated[Given, Depends(filters(50))]
WhichPredictions = Annotated[Given, Depends(filters(100))]


@router.get("/training")
async def training(
    services: Serving,
    request: Request,
    given: Which,
    status: Annotated[Literal["completed", "failed"] | None, Query(description="only of this status")] = None,
    environment: Environment = None,
    is_retraining: Annotated[bool | None, Query(description="of a model that was there before, or not")] = None,
) -> Response:
    """Trainings, the newest first."""
    more = {"status": status, "environment": environment, "is_retraining": is_retraining}
    wanted = _wanted(TrainingFilter, paging.TRAINING, given, **more)
    return await _answered(services, request, paging.TRAINING, wanted, queries.training_runs)


@router.get("/deployments")
async def deployments(
    services: Serving,
    request: Request,
    given: Which,
    status: Annotated[str | None, Query(description="only of this status", max_length=200)] = None,
    environment: Environment = None,
) -> Response:
    """Model versions that went into service, the newest first."""
    wanted = _wanted(DeploymentsFilter, paging.DEPLOYMENTS, given, status=status, environment=environment)
    return await _answered(services, request, paging.DEPLOYMENTS, wanted, queries.deployments)


@router.get("/predictions")
async def predictions(
    services: Serving,
    request: Request,
    given: WhichPredictions,
    prediction_id: Annotated[str | None, Query(description="only this one", max_length=200)] = None,
    prediction: Annotated[str | None, Query(description="only those of this label", max_length=200)] = None,
    feedback: Annotated[bool | None, Query(description="with truth, or without")] = None,
    wrong: Annotated[bool | None, Query(description="whose label is not the true one, or is")] = None,
) -> Response:
    """Predictions with their truth, the newest first."""
    more = {"prediction_id": prediction_id, "prediction": prediction, "feedback": feedback, "wrong": wrong}
    wanted = _wanted(PredictionsFilter, paging.PREDICTIONS, given, **more)
    return await _answered(services, request, paging.PREDICTIONS, wanted, queries.predictions)


@router.get("/performance")
async def performance(services: Serving, request: Request, given: Which) -> Response:
    """What the predictions of each model version came to."""
    wanted = _wanted(HistoryFilter, paging.PERFORMANCE, given)
    return await _answered(services, request, paging.PERFORMANCE, wanted, queries.performance)


@router.get("/drift")
async def drift(
    services: Serving,
    request: Request,
    given: Which,
    kind: Annotated[Literal["drift", "performance"], Query(description="for drift, or of performance")] = "drift",
    detected: Annotated[bool | None, Query(description="that found something, or not")] = None,
    every: Annotated[bool, Query(description="every revision, not only each window's newest")] = False,
    report: Annotated[bool, Query(description="the whole report too")] = False,
) -> Response:
    """Windows as they were judged, the newest first."""
    wanted = _wanted(ChecksFilter, paging.DRIFT, given, kind=kind, detected=detected, every=every, report=report)
    return await _answered(services, request, paging.DRIFT, wanted, queries.drift_checks)


@router.get("/alerts")
async def alerts(
    services: Serving,
    request: Request,
    given: Which,
    alert_id: Annotated[str | None, Query(description="only this transition", max_length=200)] = None,
    status: Annotated[AlertStatus | None, Query(description="that fire, or are resolved")] = None,
    level: Annotated[Level | None, Query(description="only those of this level")] = None,
    rule: Annotated[str | None, Query(description="only those of this rule", max_length=200)] = None,
) -> Response:
    """Transitions of alerts, the newest first."""
    more = {"alert_id": alert_id, "status": status, "level": level, "rule": rule}
    wanted = _wanted(AlertsFilter, paging.ALERTS, given, **more)
    return await _answered(services, request, paging.ALERTS, wanted, queries.alerts)


@router.get("/deliveries")
async def deliveries(
    services: Serving,
    request: Request,
    given: Which,
    alert_id: Annotated[str | None, Query(description="only of this transition", max_length=200)] = None,
    channel: Annotated[str | None, Query(description="only through this channel", max_length=200)] = None,
    outcome: Annotated[Literal["delivered", "failed"] | None, Query(description="told, or given up")] = None,
) -> Response:
    """What was told of alerts, or given up, the newest first."""
    wanted = _wanted(DeliveriesFilter, paging.DELIVERIES, given, alert_id=alert_id, channel=channel, outcome=outcome)
    return await _answered(services, request, paging.DELIVERIES, wanted, queries.deliveries)


@router.get("/audit")
async def audit(
    services: Serving,
    request: Request,
    given: Which,
    actor: Annotated[str | None, Query(description="only by this one", max_length=200)] = None,
    action: Annotated[str | None, Query(description="only this", max_length=200)] = None,
    subject: Annotated[str | None, Query(description="only of this", max_length=200)] = None,
) -> Response:
    """Who has changed what, the newest first. No model is asked for: changes are of the whole."""
    if given.filters["model"] is not None:
        raise Problem(422, "model: the audit is not of models; subject names what was changed")
    wanted = _wanted(AuditFilter, paging.AUDIT, given, actor=actor, action=action, subject=subject)
    return await _answered(services, request, paging.AUDIT, wanted, queries.audit)


def _wanted(what: Callable[..., T], order: PageOrder, given: Given, **more: object) -> T:
    try:
        after = None if given.cursor is None else order.read(given.cursor)
        return what(**given.filters, **more, after=after)
    except ValueError as error:
        raise Problem(422, str(error)) from None


async def _answered(
    services: Services, request: Request, order: PageOrder, wanted: T, question: Callable[[Connection, T], list[Any]]
) -> Response:
    """Ask the history for one row more than is wanted, so that `next` is known; encode them in the same thread."""

    def ask(connection: Connection) -> Response:
        found = question(connection, replace(wanted, limit=wanted.limit + 1))
        shown = found[: wanted.limit]
        return answer({order.name: shown, "next": order.cursor(shown[-1]) if len(found) > len(shown) else None})

    try:
        return await services.history.ask(request, ask)
    except HistoryTimeout as error:
        raise Problem(504, str(error)) from None
    except HistoryError as error:
        raise unavailable(str(error)) from None
