"""POST /feedback: the ground truth of predictions, into Kafka."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from api.auth import Principal, caller_of
from api.http.responses import answer
from api.intake.bodies import Incomplete, Rejection, decode_items, read_body
from api.intake.cloud_events import are_cloud_events, decoded, envelopes_of
from api.intake.events import IncomingFeedback, feedback, wrong_feedback
from api.intake.parsing import parsed
from api.intake.publish import count_warnings, publish
from api.services import Serving
from topics.registry import FEEDBACK

router = APIRouter()


@router.post("/feedback")
async def post_feedback(request: Request, services: Serving) -> Response:
    """Send one or many: 200 once Kafka has the valid items; `status` is "partial" where some are invalid.

    Where none is valid: 400 if the first lacks a required field, 422 if a field of the first is wrong. `warnings` name
    unknown fields, which are left out. Feedback with `model` is for that model only. A key for one model sets the
    model; a key for several requires it.
    """
    body, caller = await read_body(request), caller_of(request)
    if are_cloud_events(request.headers):
        envelopes = enumerate(await parsed(len(body), envelopes_of, body, request.headers))
        found = await parsed(len(body), decoded, envelopes, feedback, _wrong_for(caller), lambda event, _: event)
    else:
        kind = request.headers.get("content-type", "")
        found = await parsed(len(body), decode_items, body, kind, feedback, _wrong_for(caller))
    found = services.hider.events(found)
    only = caller.models[0] if caller.models is not None and len(caller.models) == 1 else None
    events = [event.event(only) for _, event in found.accepted]
    rejected = await publish(services.producer, FEEDBACK, events, found, _status)
    count_warnings(FEEDBACK, found.warnings)
    warnings = {"warnings": found.warnings} if found.warnings else {}
    if not rejected:
        return answer({"status": "success", "message": "Feedback recorded", **warnings})
    given = len(found.accepted) + len(found.rejected)
    recorded = given - len(rejected)
    message = f"Feedback recorded for {recorded:,} of {given:,}"
    told = {"status": "partial", "message": message, "accepted": recorded, "rejected": rejected}
    return answer({**told, **warnings})


def _status(first: Rejection) -> int:
    return 400 if isinstance(first, Incomplete) else 422


def _wrong_for(caller: Principal) -> Callable[[IncomingFeedback], str]:
    """Return the check of feedback: its values, and whether the key is for its model."""
    its = caller.models
    if its is None:
        return wrong_feedback
    missing = "" if len(its) == 1 else f"model: missing; the key is for {', '.join(its)}: name one in each"

    def wrong(event: IncomingFeedback) -> str:
        return wrong_feedback(event) or (missing if event.model is None else caller.refusal(event.model))

    return wrong
