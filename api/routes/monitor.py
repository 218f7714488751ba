"""GET /monitor: the workers, what waits to be read, and what could not be."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.answers import answer
from api.routes.models import loaded
from api.services import Serving
from app.runtime.silencing import utc_now

router = APIRouter()


@router.get("/monitor")
async def monitor(services: Serving) -> Response:
    """What the workers said last, over time, and dead letters by reason."""
    loaded(services)
    return answer(services.reports.workers.now(utc_now()))
