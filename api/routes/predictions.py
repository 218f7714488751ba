"""POST /predictions: events of predictions made elsewhere, into Kafka."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.bodies import decode_items, read_body
from api.incoming import predictions, utc_now, wrong_prediction
from api.publishing import publish
from api.services import Serving
from topics.registry import PREDICTIONS

router = APIRouter()


@router.post("/predictions", status_code=202)
async def post_predictions(request: Request, services: Serving) -> Response:
    """An event, a list, NDJSON or CloudEvents: 202 once Kafka has those that are sound, the others by position.

    `prediction_ids` are told, of the accepted in their order, where any was made here.
    """
    body = await read_body(request)
    found = decode_items(body, request.headers.get("content-type", ""), predictions, wrong_prediction)
    now = utc_now()
    events = [item.event(now) for _, item in found.accepted]
    rejected = await publish(services.producer, PREDICTIONS, events, found)
    told: dict[str, object] = {"accepted": len(events) + len(found.rejected) - len(rejected), "rejected": rejected}
    if any(item.prediction_id is None for _, item in found.accepted):
        lost = {one.index for one in rejected}
        positions = (index for index, _ in found.accepted)
        told["prediction_ids"] = [e.prediction_id for i, e in zip(positions, events, strict=True) if i not in lost]
    return answer(told, 202)
