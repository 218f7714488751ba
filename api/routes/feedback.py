"""POST /feedback: the truth about predictions, into Kafka."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.bodies import decode_items, read_body
from api.cloud_events import are_cloud_events, decoded, envelopes_of
from api.incoming import feedback, wrong_feedback
from api.parsing import parsed
from api.publishing import publish
from api.services import Serving
from topics.registry import FEEDBACK

router = APIRouter()


@router.post("/feedback")
async def post_feedback(request: Request, services: Serving) -> Response:
    """One or many: 200 once Kafka has those that are sound; where some are not, `status` is "partial"."""
    body = await read_body(request)
    if are_cloud_events(request.headers):
        envelopes = enumerate(await parsed(len(body), envelopes_of, body, request.headers))
        found = await parsed(len(body), decoded, envelopes, feedback, wrong_feedback, lambda event, _: event)
    else:
        kind = request.headers.get("content-type", "")
        found = await parsed(len(body), decode_items, body, kind, feedback, wrong_feedback)
    rejected = await publish(services.producer, FEEDBACK, [event.event() for _, event in found.accepted], found)
    if not rejected:
        return answer({"status": "success", "message": "Feedback recorded"})
    given = len(found.accepted) + len(found.rejected)
    recorded = given - len(rejected)
    message = f"Feedback recorded for {recorded:,} of {given:,}"
    return answer({"status": "partial", "message": message, "accepted": recorded, "rejected": rejected})
