"""GET /, /health, /ready, /metrics: who this is, whether it lives, whether it can work, what it has done."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.answers import answer
from api.behind_proxy import root_of
from api.problems import unavailable
from api.services import Serving
from app.runtime.release import release
from app.runtime.silencing import utc_now
from app.telemetry import metrics

router = APIRouter()


@router.get("/")
async def root(request: Request, services: Serving) -> Response:
    """The service, and the model that it serves, if any."""
    told: dict[str, object] = {
        "service": "driftline",
        "version": release(),
        "dashboard": f"{root_of(request.scope)}/dashboard",
    }
    bundle = services.bundle
    if bundle is None:
        return answer(told | {"model": None, "model_version": None, "model_type": None})
    training = bundle.training
    return answer(told | {
        "model": training.model, "model_version": training.model_version, "model_type": training.model_type,
        "trained": training.timestamp, "training_metrics": training.training_metrics, "features": bundle.kinds,
        "cautions": bundle.cautions,
    })  # fmt: skip


@router.get("/health")
async def health() -> Response:
    """Alive."""
    return answer({"status": "healthy"})


@router.get("/ready")
async def ready(services: Serving) -> Response:
    """200 when the broker answers and the views are loaded, with how far the workers are behind; else 503 and why."""
    trouble = await services.check()
    if trouble:
        raise unavailable(trouble)
    stream = services.reports.workers.now(utc_now())
    return answer({
        "status": "ready", "broker": "reachable", "views": "loaded",
        "workers": sum(not worker.silent for worker in stream.workers),
        "lag": stream.lag, "behind_seconds": stream.behind_seconds,
    })  # fmt: skip


@router.get("/metrics")
async def prometheus(services: Serving) -> Response:
    """What the API has done, for Prometheus."""
    services.look()
    return Response(generate_latest(metrics.API), headers={"Content-Type": CONTENT_TYPE_LATEST})
