"""GET /models…: the registered model versions and their reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.auth import caller_of
from api.http.parameters import Moment
from api.http.problems import Problem, unavailable
from api.http.responses import answer
from api.services import Services, Serving
from app.read_model.columns import column_view, columns_of_window
from app.read_model.report_store import MAX_WINDOWS, Role
from app.read_model.reports_table import ModelReports
from app.read_model.summary import ModelSummary, life_of, summaries_of, summary_of
from app.read_model.timeline import timeline_of
from app.registration.versions_table import learning_words
from topics.events import DriftReport

router = APIRouter()

LISTED = 20
"""Number of model versions that an error names."""

Limit = Annotated[int, Query(ge=1, le=MAX_WINDOWS, description="the last so many windows")]
End = Annotated[Moment | None, Query(description="the end of the window; else the newest")]


@router.get("/models")
async def models(request: Request, services: Serving) -> Response:
    """Return every model version that is registered or has reports, among the models that the key is for."""
    loaded(services)
    its = summaries(services, caller_of(request).is_for)
    return answer({"revision": services.changes.number, "models": its})


@router.get("/models/{model}/{version}")
async def model(request: Request, model: str, version: str, services: Serving) -> Response:
    """Return the summary of one model version."""
    _known(request, services, model, version)
    return answer(summary(services, model, version))


@router.get("/models/{model}/{version}/drift")
async def drift(request: Request, model: str, version: str, services: Serving, limit: Limit = 100) -> Response:
    """Return a model version's drift reports that are still complete, oldest window first."""
    found = _known(request, services, model, version)
    return answer({"model": model, "model_version": version, "reports": list(found.drift.whole(limit))})


@router.get("/models/{model}/{version}/performance")
async def performance(request: Request, model: str, version: str, services: Serving, limit: Limit = 100) -> Response:
    """Return a model version's performance reports that are still complete, oldest window first."""
    found = _known(request, services, model, version)
    return answer({"model": model, "model_version": version, "reports": list(found.performance.whole(limit))})


@router.get("/models/{model}/{version}/timeline")
async def timeline(
    request: Request, model: str, version: str, services: Serving, limit: Limit = MAX_WINDOWS, metric: str | None = None
) -> Response:
    """Return a model version's windows in a few numbers each, with one metric, and its alerts."""
    return answer(timeline_of(_known(request, services, model, version), limit, metric))


@router.get("/models/{model}/{version}/features")
async def features(request: Request, model: str, version: str, services: Serving, end: End = None) -> Response:
    """Return every column of one window against the reference: features, prediction and probability."""
    found = _known(request, services, model, version)
    return answer(columns_of_window(found.drift, _report(found, end)))


@router.get("/models/{model}/{version}/features/{name:path}")
async def feature(
    request: Request, model: str, version: str, name: str, services: Serving, role: Role = "feature", end: End = None
) -> Response:
    """Return one column: both distributions in one window, and its statistic over time."""
    found = _known(request, services, model, version)
    told = column_view(found.drift, _report(found, end), (role, name))
    if told is None:
        raise Problem(404, f"{model} {version} has no {role} {name!r}: GET /models/{model}/{version}/features has all")
    return answer(told)


def loaded(services: Services) -> None:
    """Raise Problem 503 while the global tables are loading."""
    if not services.loaded:
        raise unavailable(services.trouble)


def summaries(services: Services, wanted: Callable[[str], bool]) -> list[ModelSummary]:
    """Return the summaries of the models whose names are wanted, in the order of their registration."""
    return summaries_of(services.models, services.reports, services.versions, wanted)


def summary(services: Services, model: str, version: str) -> ModelSummary:
    """Return the summary of one model version."""
    known, reports = services.models.get(model, version), services.reports
    share = reports.workers.intake.share(model, version)
    life = life_of(services.models, services.versions, model, version)
    return summary_of(model, version, known, reports.of(model, version), share, life)


def _known(request: Request, services: Services, model: str, version: str) -> ModelReports:
    loaded(services)
    key = (model, version)
    is_known = key in services.reports.findings or key in services.models
    if not is_known and life_of(services.models, services.versions, model, version) is None:
        raise unregistered(request, services, model, version)
    return services.reports.of(model, version)


def unregistered(request: Request, services: Services, model: str, version: str) -> Problem:
    """Return problem 404 of a model version that is not registered, with those that the key may read."""
    life = life_of(services.models, services.versions, model, version)
    if life is not None and (words := learning_words(life)):
        return Problem(404, f"{model} {version} is not registered yet: {words}")
    its = [one for one in sorted(services.models) if caller_of(request).is_for(one[0])]
    known = ", ".join(" ".join(one) for one in its[:LISTED])
    is_known = f"registered: {known}" if known else "nothing is registered"
    return Problem(404, f"no model {model!r} version {version!r} ({is_known}): register it with `driftline register`")


def _report(found: ModelReports, end: datetime | None) -> DriftReport:
    report = found.drift.at(end)
    if report is None:
        when = "there is no window yet" if end is None else f"end: no window with this end is kept whole: {end}"
        raise Problem(404, when)
    return report
