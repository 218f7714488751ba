"""GET /models…: what is registered, and what the stream has found of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Response

from api.answers import answer
from api.problems import Problem, unavailable
from api.services import Services, Serving
from api.state import State, state_of
from api.timeline import timeline_of
from api.views import MAX_WINDOWS, Findings

router = APIRouter()

LISTED = 20
"""Model versions that an error names."""

Limit = Annotated[int, Query(ge=1, le=MAX_WINDOWS, description="the last so many windows")]


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One model version at a glance; `state` is the worst that is known of it."""

    model: str
    model_version: str
    state: State
    task: str | None
    features: int | None
    registered_at: datetime | None
    window_end: datetime | None
    n: int | None
    drift_share: float | None
    accuracy: float | None
    firing: int


@router.get("/models")
async def models(services: Serving) -> Response:
    """Every model version that is registered, or of which there are reports."""
    _loaded(services)
    keys = dict.fromkeys([*services.models, *services.reports.findings])
    return answer({
        "revision": services.models.revision + services.reports.revision,
        "models": [_summary(services, *key) for key in keys],
    })  # fmt: skip


@router.get("/models/{model}/{version}")
async def model(model: str, version: str, services: Serving) -> Response:
    """One of them."""
    _known(services, model, version)
    return answer(_summary(services, model, version))


@router.get("/models/{model}/{version}/drift")
async def drift(model: str, version: str, services: Serving, limit: Limit = 100) -> Response:
    """Its drift reports, oldest window first."""
    found = _known(services, model, version)
    return answer({"model": model, "model_version": version, "reports": found.drift.last(limit)})


@router.get("/models/{model}/{version}/performance")
async def performance(model: str, version: str, services: Serving, limit: Limit = 100) -> Response:
    """Its performance reports, oldest window first."""
    found = _known(services, model, version)
    return answer({"model": model, "model_version": version, "reports": found.performance.last(limit)})


@router.get("/models/{model}/{version}/alerts")
async def alerts(model: str, version: str, services: Serving) -> Response:
    """The newest transition of each of its alerts, newest alert first."""
    found = _known(services, model, version)
    newest = sorted(found.alerts.values(), key=lambda alert: alert.started_at, reverse=True)
    return answer({"model": model, "model_version": version, "alerts": newest})


@router.get("/models/{model}/{version}/timeline")
async def timeline(model: str, version: str, services: Serving, limit: Limit = MAX_WINDOWS) -> Response:
    """Its windows in a few numbers each, as the dashboard draws them."""
    return answer(timeline_of(_known(services, model, version), limit))


def _loaded(services: Services) -> None:
    if not services.loaded:
        raise unavailable(services.trouble)


def _known(services: Services, model: str, version: str) -> Findings:
    _loaded(services)
    key = (model, version)
    if key not in services.reports.findings and key not in services.models:
        known = ", ".join(" ".join(one) for one in sorted(services.models)[:LISTED])
        is_known = f"registered: {known}" if known else "nothing is registered"
        raise Problem(
            404, f"no model {model!r} version {version!r} ({is_known}): register it with `driftline register`"
        )
    return services.reports.of(model, version)


def _summary(services: Services, model: str, version: str) -> ModelSummary:
    known, found = services.models.get(model, version), services.reports.of(model, version)
    drift, performance = found.drift.latest, found.performance.latest
    ends = [report.window_end for report in (drift, performance) if report is not None]
    accuracy = next((m.value for m in performance.metrics if m.name == "accuracy"), None) if performance else None
    return ModelSummary(
        model=model,
        model_version=version,
        state=state_of(found),
        task=None if known is None else known.profile.task,
        features=None if known is None else len(known.profile.features),
        registered_at=None if known is None else known.registered_at,
        window_end=max(ends, default=None),
        n=None if drift is None else drift.n,
        drift_share=None if drift is None else drift.drift_share,
        accuracy=accuracy,
        firing=len(found.firing),
    )
