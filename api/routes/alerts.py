"""GET /alerts: what fires and what has, of every model, with its evidence."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from api.answers import answer
from api.door import caller_of
from api.problems import Problem
from api.routes.models import loaded
from api.services import Services, Serving
from app.alerting.muting import Quiet, labels_of, quiet_of
from app.core.matching import MatcherError
from app.core.weekly import WeeklyError
from app.history.paging import CursorError, Key, decode_cursor, encode_cursor
from app.runtime.silencing import utc_now
from topics.events import AlertEvent, AlertStatus, SilenceEvent

log = logging.getLogger(__name__)

router = APIRouter()

MAX_ALERTS = 2000
LIST = "alerts now"
"""As its cursors name it."""

Limit = Annotated[int, Query(ge=1, le=MAX_ALERTS, description="at most so many, the newest")]
Cursor = Annotated[str | None, Query(description="the rest of the list: `next` of the part before", max_length=8000)]
OnlyModel = Annotated[str | None, Query(description="of this model alone")]


@router.get("/alerts")
async def alerts(
    request: Request,
    services: Serving,
    status: AlertStatus | None = None,
    model: OnlyModel = None,
    version: OnlyModel = None,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Response:
    """The newest transition of each alert, what fires first, then by their start; each with the silence it is under."""
    loaded(services)
    caller = caller_of(request)
    after = None if cursor is None else _after(cursor)
    found = [
        alert
        for (name, its_version), findings in services.reports.findings.items()
        if model in (None, name) and version in (None, its_version) and caller.is_for(name)
        for alert in findings.alerts.values()
        if status in (None, alert.status)
    ]
    found.sort(key=_key, reverse=True)
    rest = found if after is None else [alert for alert in found if _key(alert) < after]
    more = encode_cursor(LIST, _key(rest[limit - 1])) if len(rest) > limit else None
    return answer({"total": len(found), "alerts": _shown(services, rest[:limit]), "next": more})


@router.get("/models/{model}/{version}/alerts")
async def model_alerts(model: str, version: str, services: Serving) -> Response:
    """The newest transition of each alert of a model version, newest alert first."""
    loaded(services)
    found = services.reports.of(model, version).alerts.values()
    newest = sorted(found, key=lambda alert: alert.started_at, reverse=True)
    return answer({"model": model, "model_version": version, "alerts": newest})


def _key(alert: AlertEvent) -> tuple[bool, datetime, str]:
    """What alerts are sorted by: no two have the same."""
    return alert.status == "firing", alert.started_at, alert.fingerprint


def _after(cursor: str) -> Key:
    try:
        return decode_cursor(LIST, cursor, (bool, datetime, str))
    except CursorError as error:
        raise Problem(422, str(error)) from None


def _shown(services: Services, found: list[AlertEvent]) -> list[dict[str, object]]:
    now = utc_now()
    silences = [(one, quiet) for one in services.silences.not_over(now) if (quiet := _quiet(one)) is not None]
    return [{**msgspec.structs.asdict(alert), "silenced_by": _silence(alert, silences, now)} for alert in found]


def _silence(alert: AlertEvent, silences: list[tuple[SilenceEvent, Quiet]], now: datetime) -> str | None:
    if alert.status != "firing":
        return None
    labels = labels_of(alert)
    return next((one.silence_id for one, quiet in silences if quiet.mutes(labels, now)), None)


def _quiet(silence: SilenceEvent) -> Quiet | None:
    try:
        return quiet_of(silence)
    except (MatcherError, WeeklyError) as error:  # somebody wrote it past the API
        log.error("silence %s is left out: %s", silence.silence_id, error)
        return None
