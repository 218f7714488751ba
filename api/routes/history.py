"""GET /history…: what was trained, deployed, predicted, found and told, from the history's database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy import Connection

from api.answers import answer
from api.problems import Problem, unavailable
from api.services import Services, Serving
from app.history import HistoryError, HistoryTimeout, queries
from app.history.wanted import Wanted, WantedAlerts, WantedChecks, WantedDeliveries, WantedPredictions
from topics.events import AlertStatus, Level

router = APIRouter(prefix="/history")

T = TypeVar("T", bound=Wanted)

Model = Annotated[str | None, Query(description="only this model", max_length=200)]
Version = Annotated[str | None, Query(description="only this version of it", max_length=200)]
Since = Annotated[datetime | None, Query(description="from this time on")]
Until = Annotated[datetime | None, Query(description="before this time")]
Limit = Annotated[int, Query(ge=1, le=1000, description="the newest so many")]


def which(
    model: Model = None, model_version: Version = None, since: Since = None, until: Until = None, limit: Limit = 50
) -> dict[str, Any]:
    """The filters that every question takes."""
    return {"model": model, "model_version": model_version, "since": since, "until": until, "limit": limit}


Which = Annotated[dict[str, Any], Depends(which)]


@router.get("/training")
async def training(services: Serving, request: Request, given: Which) -> Response:
    """Trainings, the newest first."""
    wanted = _wanted(Wanted, given)
    return await _answered(services, request, "training", lambda connection: queries.training_runs(connection, wanted))


@router.get("/deployments")
async def deployments(services: Serving, request: Request, given: Which) -> Response:
    """Model versions that went into service, the newest first."""
    wanted = _wanted(Wanted, given)
    return await _answered(services, request, "deployments", lambda connection: queries.deployments(connection, wanted))


@router.get("/predictions")
async def predictions(
    services: Serving,
    request: Request,
    given: Which,
    prediction_id: Annotated[str | None, Query(description="only this one", max_length=200)] = None,
    prediction: Annotated[str | None, Query(description="only those of this label", max_length=200)] = None,
    feedback: Annotated[bool | None, Query(description="with truth, or without")] = None,
    wrong: Annotated[bool | None, Query(description="whose label is not the true one, or is")] = None,
) -> Response:
    """Predictions with their truth, the newest first."""
    more = {"prediction_id": prediction_id, "prediction": prediction, "feedback": feedback, "wrong": wrong}
    wanted = _wanted(WantedPredictions, given | more)
    return await _answered(services, request, "predictions", lambda connection: queries.predictions(connection, wanted))


@router.get("/performance")
async def performance(services: Serving, request: Request, given: Which) -> Response:
    """What the predictions of each model version came to."""
    wanted = _wanted(Wanted, given)
    return await _answered(services, request, "performance", lambda connection: queries.performance(connection, wanted))


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
    wanted = _wanted(WantedChecks, given | {"kind": kind, "detected": detected, "every": every, "report": report})
    return await _answered(services, request, "drift", lambda connection: queries.drift_checks(connection, wanted))


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
    wanted = _wanted(WantedAlerts, given | more)
    return await _answered(services, request, "alerts", lambda connection: queries.alerts(connection, wanted))


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
    wanted = _wanted(WantedDeliveries, given | {"alert_id": alert_id, "channel": channel, "outcome": outcome})
    return await _answered(services, request, "deliveries", lambda connection: queries.deliveries(connection, wanted))


def _wanted(kind: Callable[..., T], given: dict[str, Any]) -> T:
    try:
        return kind(**given)
    except ValueError as error:
        raise Problem(422, str(error)) from None


async def _answered(services: Services, request: Request, name: str, ask: Callable[[Connection], object]) -> Response:
    """Ask the history, and encode what it says in the same thread."""
    try:
        return await services.history.ask(request, lambda connection: answer({name: ask(connection)}))
    except HistoryTimeout as error:
        raise Problem(504, str(error)) from None
    except HistoryError as error:
        raise unavailable(str(error)) from None
