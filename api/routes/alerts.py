"""GET and POST /alerts: current and recent alerts of every model with their evidence, and alerts of other programs."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from api.auth import Principal, caller_of
from api.http.problems import Problem
from api.http.responses import answer
from api.intake.bodies import decode_whole, read_body
from api.routes.models import loaded
from api.routes.schemas import SentAlert
from api.services import Services, Serving
from app.alerting.events.external import AlertRequest, ExternalError, check, fingerprint_wanted, newest, transition_of
from app.alerting.notify.muting import Mute, labels_of, quiet_of
from app.core.config.matchers import MatcherError
from app.core.config.weekly import WeeklyError
from app.history.paging import CursorError, Key, decode_cursor, encode_cursor
from app.kafka.audit import note
from app.kafka.producer import RecordRefused
from topics.events import Action, AlertEvent, AlertStatus, SilenceEvent, utc_now
from topics.partition import partition_of
from topics.registry import ALERTS

log = logging.getLogger(__name__)

router = APIRouter()

_requests = msgspec.json.Decoder(AlertRequest)

MAX_ALERTS = 2000
LIST = "alerts now"
"""Name of this list in its cursors."""

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
    """Return the newest transition of each alert with the silence that applies: firing alerts first, newest first."""
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


@router.post("/alerts", status_code=201)
async def post_alert(request: Request, services: Serving) -> Response:
    """Send an alert of your own: 201 once Kafka has it, 200 where the same alert already fires or is already resolved.

    The alert is grouped, routed, silenced, notified and recorded like every other, under the rule `external`. Missing
    fields are 400, wrong ones 422; 404 is a resolved alert that was never sent. A key for one model sets the model.
    """
    asked, caller = decode_whole(await read_body(request), _requests), caller_of(request)
    try:
        check(asked)
    except ExternalError as error:
        raise Problem(error.status, str(error)) from None
    if asked.fingerprint is None:
        asked = msgspec.structs.replace(asked, model=caller.model_of(asked.model))
    loaded(services)
    await services.reports.catch_up()
    key = uuid.uuid4().hex[:12]
    known = newest(_known(services, caller), fingerprint_wanted(asked, key))
    try:
        alert = transition_of(asked, known, utc_now(), key, services.settings.page)
    except ExternalError as error:
        raise Problem(error.status, str(error)) from None
    if alert is known:
        return answer(_sent(alert, new=False))
    await note(services.producer, caller.audited(*_audited(alert)))
    model, version = alert.labels.get("model", ""), alert.labels.get("model_version", "")
    partition = partition_of(model, version, services.settings.partitions)
    try:
        await services.producer.send(ALERTS, alert.fingerprint.encode(), msgspec.json.encode(alert), partition)
    except RecordRefused as error:
        raise Problem(413, str(error)) from None
    await services.reports.catch_up()
    is_new = known is None or alert.alert_id != known.alert_id
    return answer(_sent(alert, new=is_new), 201 if is_new else 200)


def _known(services: Services, caller: Principal) -> Iterator[AlertEvent]:
    """Yield the alerts that a caller may read."""
    for (model, _), findings in services.reports.findings.items():
        if caller.is_for(model):
            yield from findings.alerts.values()


def _audited(alert: AlertEvent) -> tuple[Action, str, dict[str, str]]:
    action: Action = "alert.sent" if alert.status == "firing" else "alert.resolved"
    return action, alert.fingerprint, {"title": alert.title, "level": alert.level, "subject": alert.labels["subject"]}


def _sent(alert: AlertEvent, *, new: bool) -> SentAlert:
    return SentAlert(**msgspec.structs.asdict(alert), new=new)


@router.get("/models/{model}/{version}/alerts")
async def model_alerts(model: str, version: str, services: Serving) -> Response:
    """Return the newest transition of each alert of a model version, newest alert first."""
    loaded(services)
    found = services.reports.of(model, version).alerts.values()
    newest = sorted(found, key=lambda alert: alert.started_at, reverse=True)
    return answer({"model": model, "model_version": version, "alerts": newest})


def _key(alert: AlertEvent) -> tuple[bool, datetime, str]:
    """Return the sort key of an alert; no two alerts have the same key."""
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


def _silence(alert: AlertEvent, silences: list[tuple[SilenceEvent, Mute]], now: datetime) -> str | None:
    if alert.status != "firing":
        return None
    labels = labels_of(alert)
    return next((one.silence_id for one, quiet in silences if quiet.mutes(labels, now)), None)


def _quiet(silence: SilenceEvent) -> Mute | None:
    try:
        return quiet_of(silence)
    except (MatcherError, WeeklyError) as error:  # written without the API's checks
        log.error("silence %s is left out: %s", silence.silence_id, error)
        return None
