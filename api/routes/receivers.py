"""GET, POST and DELETE /receivers: webhooks to which alerts can be sent."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from api.auth import caller_of
from api.http.problems import Problem, unavailable
from api.http.responses import answer
from api.intake.bodies import decode_one, read_body
from api.services import Services, Serving
from app.alerting.channels.allowed_addresses import url_refusal
from app.alerting.receivers.requests import (
    ReceiverError,
    ReceiverRequest,
    origin_of,
    receiver_of,
    remove_receiver,
    send_receiver,
    shown,
)
from app.kafka.audit import note
from topics.events import utc_now

router = APIRouter()

_requests = msgspec.json.Decoder(ReceiverRequest)


@router.get("/receivers")
async def receivers(services: Serving) -> Response:
    """Return all receivers by name, with only the origin of their URLs."""
    _loaded(services)
    return answer({"receivers": [shown(one) for one in services.receivers.all()]})


@router.post("/receivers", status_code=201)
async def post_receiver(request: Request, services: Serving) -> Response:
    """Create or replace a receiver: 201 once Kafka has it; workers know it within a second."""
    asked = decode_one(await read_body(request), _requests)
    caller = caller_of(request)
    if caller.key is not None:
        asked = msgspec.structs.replace(asked, created_by=caller.key.name)
    try:
        receiver = receiver_of(asked, utc_now())
    except ReceiverError as error:
        raise Problem(422, str(error)) from None
    refusal = await url_refusal(asked.url, allow_private=services.settings.allow_private_webhooks)
    if refusal is not None:
        raise Problem(422, f"url: {refusal}")
    await note(services.producer, caller.audited("receiver.set", receiver.name, {"url": origin_of(receiver.url)}))
    await send_receiver(services.producer, receiver)
    if services.loaded:
        await services.receivers.catch_up()
    return answer(shown(receiver), 201)


@router.delete("/receivers/{name}")
async def delete_receiver(request: Request, name: str, services: Serving) -> Response:
    """Delete a receiver. Notifications that still wait for it are given up, and kept as undelivered."""
    _loaded(services)
    await services.receivers.catch_up()
    found = services.receivers.get(name)
    if found is None:
        raise Problem(404, f"no receiver {name!r}: GET /receivers lists those that there are")
    await note(services.producer, caller_of(request).audited("receiver.removed", name))
    await remove_receiver(services.producer, name)
    await services.receivers.catch_up()
    return answer(shown(found))


def _loaded(services: Services) -> None:
    if not services.loaded:
        raise unavailable(services.trouble)
