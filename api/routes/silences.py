"""GET, POST and DELETE /silences: alerts that are not notified for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from api.auth import caller_of
from api.http.problems import Problem, unavailable
from api.http.responses import answer
from api.intake.bodies import decode_one, read_body
from api.services import Services, Serving
from app.alerting.silences.requests import SilenceError, SilenceRequest, expired, send_silence, silence_of, state_of
from app.core.config.matchers import MatcherError, matcher_of
from app.kafka.audit import note
from topics.events import AuditEvent, SilenceEvent, utc_now

router = APIRouter()

Every = Annotated[bool, Query(alias="all", description="those that are over too")]

_requests = msgspec.json.Decoder(SilenceRequest)


@router.get("/silences")
async def silences(request: Request, services: Serving, every: Every = False) -> Response:
    """Return active and future silences in the order of their start, of the models that the key is for."""
    _loaded(services)
    found = services.silences.all() if every else services.silences.not_over(utc_now())
    models = caller_of(request).models
    return answer({"silences": [_shown(one) for one in found if models is None or _is_about(one, models)]})


@router.post("/silences", status_code=201)
async def post_silence(request: Request, services: Serving) -> Response:
    """Create a silence: 201 once Kafka has it; workers know it within a second."""
    asked = decode_one(await read_body(request), _requests)
    caller = caller_of(request)
    if caller.key is not None:
        asked = msgspec.structs.replace(asked, created_by=caller.key.name)
    try:
        silence = silence_of(asked, utc_now())
    except SilenceError as error:
        raise Problem(422, str(error)) from None
    event = caller.audited("silence.created", silence.silence_id, {"matchers": ", ".join(silence.matchers)})
    return await _sent(services, silence, event, 201)


@router.delete("/silences/{silence_id}")
async def delete_silence(request: Request, silence_id: str, services: Serving) -> Response:
    """End a silence now; it stays in the list of all. A second call changes nothing."""
    _loaded(services)
    await services.silences.catch_up()
    found = services.silences.get(silence_id)
    if found is None:
        raise Problem(404, f"no silence {silence_id!r}: GET /silences lists those that there are")
    over = expired(found, utc_now())
    if over is found:
        return answer(_shown(over))
    return await _sent(services, over, caller_of(request).audited("silence.ended", silence_id), 200)


async def _sent(services: Services, silence: SilenceEvent, event: AuditEvent, status: int) -> Response:
    """Respond once Kafka has the audit event and the silence, and this process's table too where it is loaded."""
    await note(services.producer, event)
    await send_silence(services.producer, silence)
    if services.loaded:
        await services.silences.catch_up()
    return answer(_shown(silence), status)


def _shown(silence: SilenceEvent) -> dict[str, object]:
    return {**msgspec.structs.asdict(silence), "state": state_of(silence, utc_now())}


def _is_about(silence: SilenceEvent, models: Sequence[str]) -> bool:
    """Return whether a silence can apply to an alert of one of these models, by its matchers of the label `model`."""
    try:
        matchers = [one for one in map(matcher_of, silence.matchers) if one.name == "model"]
    except MatcherError:  # written without the API's checks
        return False
    return any(all(one.matches({"model": model}) for one in matchers) for model in models)


def _loaded(services: Services) -> None:
    if not services.loaded:
        raise unavailable(services.trouble)
