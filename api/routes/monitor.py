"""GET /monitor: the workers, their lag, and the records that they could not read."""

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
    """Return the workers' newest reports, their lag over time, and dead letters by reason; of the key's models only."""
    loaded(services)
    caller = caller_of(request)
    return answer(services.reports.workers.now(utc_now(), None if caller.models is None else caller.is_for))
