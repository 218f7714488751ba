"""GET /monitor: the workers, what waits to be read, and what could not be."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.auth import caller_of
from api.http.responses import answer
from api.routes.models import loaded
from api.services import Serving
from topics.events import utc_now

router = APIRouter()


@router.get("/monitor")
async def monitor(request: Request, services: Serving) -> Response:
    """What the workers said last, over time, and dead letters by reason; of models, those that the key is for."""
    loaded(services)
    caller = caller_of(request)
    return answer(services.reports.workers.now(utc_now(), None if caller.models is None else caller.is_for))
