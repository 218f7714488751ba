"""GET /, /health, /ready, /metrics: who this is, whether it lives, whether it can work, what it has done."""

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
"""What it is to be ready for."""


@router.get("/")
async def root(request: Request, services: Serving) -> Response:
    """The service, and the model that it serves, if any."""
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
    """Alive."""
    return answer({"status": "healthy"})


@router.get("/ready")
async def ready(request: Request, services: Serving, wanted: Wanted = "all") -> Response:
    """200 when the broker answers, the views are loaded and a worker was heard not long ago; else 503 and why.

    With `for=events` it is enough that events can be taken: they wait in Kafka for a worker. With `for=predict` it is
    enough that POST /predict answers, from the disk where `when_unrecorded` says so. Why, how the workers stand, and
    what waits on the disk (`spool`) is for those who may read.
    """
    away = await services.check()
    trouble = services.unable(away) if wanted == "predict" else away
    spool = {} if services.spooling is None else {"spool": services.spooling.state()}
    unheard = services.reports.workers.unheard
    told = caller_of(request).allows("read")
    if trouble or (unheard and wanted == "all"):
        if not told:
            raise unavailable("not ready; a key that may read is told why")
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
    """What the API has done, for Prometheus; with traces as exemplars, where OpenMetrics is accepted."""
    services.look()
    encode, kind = choose_encoder(request.headers.get("Accept", ""))
    return Response(await asyncio.to_thread(encode, metrics.API), headers={"Content-Type": kind})
