"""POST /heartbeats: no older prediction of a model version will follow, so that its windows can close."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from api.auth import check_model
from api.http.problems import Problem
from api.http.responses import answer
from api.intake.bodies import decode_whole, read_body
from api.services import Serving
from app.core.values.times import believable
from app.ingest.decoding import UNBELIEVABLE
from app.ingest.predictions import HEARTBEAT
from topics.events import Heartbeat, to_epoch
from topics.registry import PREDICTIONS

router = APIRouter()

_heartbeats = msgspec.json.Decoder(Heartbeat)


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """Number of partitions of `predictions` that got the heartbeat."""

    partitions: int


@router.post("/heartbeats", status_code=202)
async def post_heartbeat(request: Request, services: Serving) -> Response:
    """Send a heartbeat: no prediction of a model version from before `timestamp` will follow.

    202 once every partition has it. Windows close by the time of predictions: the last ones of a replay wait for a
    later prediction, or for a heartbeat.
    """
    event = decode_whole(await read_body(request), _heartbeats)
    check_model(request, event.model)
    if not believable(to_epoch(event.timestamp)):
        raise Problem(422, UNBELIEVABLE)
    value, producer = msgspec.json.encode(event), services.producer
    partitions = await producer.partitions(PREDICTIONS)
    for partition in range(partitions):
        await producer.send(PREDICTIONS, None, value, partition, (HEARTBEAT,))
    return answer(Closed(partitions=partitions), 202)
