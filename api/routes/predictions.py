"""POST /predictions: events of predictions made elsewhere, into Kafka."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.auth import Principal, caller_of
from api.http.responses import answer
from api.inference.kserve_logger import is_inference, publish_halves
from api.intake.bodies import Items, Rejection, decode_items, read_body
from api.intake.cloud_events import Envelope, are_cloud_events, decoded, envelopes_of
from api.intake.events import IncomingPrediction, completed, predictions, wrong_prediction
from api.intake.parsing import parsed
from api.intake.publish import count_warnings, publish
from api.intake.unregistered import unregistered_lines
from api.services import Services, Serving
from app.kafka.errors import BrokerUnavailable
from app.read_model.summary import life_of
from app.registration.versions_table import learning_words
from topics.events import PredictionEvent, utc_now
from topics.registry import PREDICTIONS

router = APIRouter()


Of = Annotated[str | None, Query(description="of inferences, where their events do not name it")]


@router.post("/predictions", status_code=202)
async def post_predictions(request: Request, services: Serving, model: Of = None, model_version: Of = None) -> Response:
    """Send an event, a list, NDJSON or CloudEvents: 202 once Kafka has the valid ones, with the others by position.

    `prediction_ids` are the ids of the accepted events in their order, where any id was created here. `unregistered` is
    the number of events of model versions that are not registered. Workers set those aside, to be sent again after the
    registration. `warnings` name those versions, and unknown fields, which are left out. KServe's inference logger may
    send here: `waiting` is the number of requests and responses that Kafka has; a worker pairs them. Their model is the
    inference service, or `model` in the URL; their version is `model_version` in the URL.
    """
    body = await read_body(request)
    if are_cloud_events(request.headers):
        return await _cloud_events(request, services, body, (model, model_version))
    kind = request.headers.get("content-type", "")
    found = await parsed(len(body), decode_items, body, kind, predictions, _wrong_for(caller_of(request)))
    return answer(await _sent(services, services.hider.events(found), caller_of(request)), 202)


def _wrong_for(caller: Principal) -> Callable[[IncomingPrediction], str]:
    """Return the check of a prediction: its values, and whether the key is for its model."""
    if caller.models is None:
        return wrong_prediction
    return lambda event: wrong_prediction(event) or caller.refusal(event.model)


async def _cloud_events(
    request: Request, services: Services, body: bytes, of: tuple[str | None, str | None]
) -> Response:
    halves: list[tuple[int, Envelope]] = []
    others: list[tuple[int, Envelope | Rejection]] = []
    for index, one in enumerate(await parsed(len(body), envelopes_of, body, request.headers)):
        if isinstance(one, Envelope) and is_inference(one):
            halves.append((index, one))
        else:
            others.append((index, one))
    caller = caller_of(request)
    refused = await publish_halves(services, halves, of, caller, len(body))
    waiting = len(halves) - len(refused)
    found = await parsed(len(body), decoded, others, predictions, _wrong_for(caller), completed)
    hidden = services.hider.events(found)
    both = Items(hidden.accepted, [*hidden.rejected, *refused], hidden.warnings)
    if waiting and not both.accepted:
        rejected = sorted(both.rejected, key=lambda one: one.index)
        return answer({"accepted": 0, "rejected": rejected, "waiting": waiting}, 202)
    told = await _sent(services, both, caller)
    return answer({**told, "waiting": waiting} if waiting else told, 202)


async def _sent(services: Services, found: Items[IncomingPrediction], caller: Principal) -> dict[str, object]:
    now = utc_now()
    events = [item.event(now) for _, item in found.accepted]
    rejected = await publish(services.producer, PREDICTIONS, events, found)
    told: dict[str, object] = {"accepted": len(events) + len(found.rejected) - len(rejected), "rejected": rejected}
    unregistered = await _unregistered(services, events)
    if unregistered:
        told["unregistered"] = unregistered.total()
    registered = [version for version in services.models if caller.is_for(version[0])] if unregistered else []
    strangers = tuple(unregistered_lines(unregistered, registered))
    count_warnings(PREDICTIONS, found.warnings, strangers)
    if found.warnings or strangers:
        told["warnings"] = [*strangers, *found.warnings]
    if any(item.prediction_id is None for _, item in found.accepted):
        lost = {one.index for one in rejected}
        positions = (index for index, _ in found.accepted)
        told["prediction_ids"] = [e.prediction_id for i, e in zip(positions, events, strict=True) if i not in lost]
    return told


async def _unregistered(services: Services, events: Sequence[PredictionEvent]) -> Counter[tuple[str, str]]:
    """Return the number of events of each unregistered model version; empty where that cannot be found out.

    A version that learns its reference is not among them: its predictions are used.
    """
    models = services.models
    counts = Counter((event.model, event.model_version) for event in events)

    def is_known(version: tuple[str, str]) -> bool:
        return models.get(*version) is not None or bool(learning_words(life_of(models, services.versions, *version)))

    if not services.loaded or all(map(is_known, counts)):
        return Counter()
    with contextlib.suppress(BrokerUnavailable):  # the events are in Kafka already: the known registrations have to do
        await models.catch_up()
    return Counter({version: n for version, n in counts.items() if not is_known(version)})
