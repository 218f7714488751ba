"""GET /, /health, /ready and /metrics: identity, liveness, readiness and metrics of the API."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from prometheus_client.exposition import choose_encoder

from api.auth import caller_of
from api.http.problems import unavailable
from api.http.proxy import root_of
from api.http.responses import answer
from api.routes.schemas import Library, ServedHere
from api.served.models import ServedModel
from api.services import Serving
from app.settings.release import release
from app.telemetry import metrics
from topics.events import utc_now

router = APIRouter()

Wanted = Annotated[Literal["all", "events", "predict"], Query(alias="for")]
"""Use for which the API is to be ready."""


@router.get("/")
async def root(request: Request, services: Serving) -> Response:
    """Return the service's version and the models that it serves."""
    told: dict[str, object] = {
        "service": "driftline",
        "version": release(),
        "dashboard": f"{root_of(request.scope)}/dashboard",
    }
    caller = caller_of(request)
    told["models"] = [_served(one) for one in services.served_models.all() if caller.is_for(one.name)]
    bundle = services.bundle
    if bundle is None or not caller.is_for(bundle.training.model):
        return answer(told | {"model": None, "model_version": None, "model_type": None})
    training = bundle.training
    return answer(told | {
        "model": training.model, "model_version": training.model_version, "model_type": training.model_type,
        "trained": training.timestamp, "training_metrics": training.training_metrics, "features": bundle.kinds,
        "cautions": bundle.cautions,
    })  # fmt: skip


def _served(model: ServedModel) -> ServedHere:
    bundle, training = model.bundle, model.bundle.training
    checked = f"{bundle.examples} agree with training" if bundle.examples else "none: no examples were checked"
    return ServedHere(
        model=training.model, model_version=training.model_version, model_type=training.model_type,
        trained=training.timestamp, sha256=bundle.sha256, examples=checked,
        libraries={name: Library(both.trained, both.here) for name, both in bundle.libraries.items()},
        skew=[name for name, both in bundle.libraries.items() if both.differ], cautions=list(bundle.cautions),
    )  # fmt: skip


@router.get("/health")
async def health() -> Response:
    """Return that the process is alive."""
    return answer({"status": "healthy"})


@router.get("/ready")
async def ready(request: Request, services: Serving, wanted: Wanted = "all") -> Response:
    """Return 200 where Kafka responds, the tables are loaded and a worker reported recently; else 503 and why.

    With `for=events`, events need to be accepted only: they wait in Kafka for a worker. With `for=predict`, POST
    /predict needs to answer, from the disk where `when_unrecorded` allows it. The reason, the workers' state and the
    waiting predictions (`spool`) are for keys that may read.
    """
    away = await services.check()
    trouble = services.unable(away) if wanted == "predict" else away
    spool = {} if services.spooling is None else {"spool": services.spooling.state()}
    unheard = services.reports.workers.unheard
    told = caller_of(request).allows("read")
    if trouble or (unheard and wanted == "all"):
        if not told:
            raise unavailable("not ready; a key that may read is given the reason")
        raise unavailable(trouble or f"{unheard}; events are taken, and wait in Kafka", **spool)
    if not told:
        return answer({"status": "ready"})
    stream = services.reports.workers.now(utc_now())
    return answer({
        "status": "ready", "broker": away or "reachable", "views": "loaded",
        "unheard": unheard, "workers": sum(not worker.silent for worker in stream.workers),
        "lag": stream.lag, "behind_seconds": stream.behind_seconds, **spool,
    })  # fmt: skip


@router.get("/metrics")
async def prometheus(services: Serving, request: Request) -> Response:
    """Return the API's metrics for Prometheus; with traces as exemplars, where OpenMetrics is accepted."""
    services.look()
    encode, kind = choose_encoder(request.headers.get("Accept", ""))
    return Response(await asyncio.to_thread(encode, metrics.API), headers={"Content-Type": kind})
