"""POST /predict: the served model's predictions, sent to Kafka before they are returned to the client."""

from __future__ import annotations

from datetime import datetime

import msgspec
from fastapi import APIRouter, Request, Response

from api.auth import caller_of, check_model
from api.http.problems import Problem
from api.http.responses import answer
from api.inference.nested_features import feature_error
from api.inference.predict import PredictRequest, served, wrong_request
from api.intake.bodies import NDJSON, decode_items, decode_one, read_body
from api.intake.parsing import parsed
from api.served.models import ServedModel
from api.services import Services, Serving
from topics.events import ServedEvent

router = APIRouter()


class PredictAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Response to one prediction. `probability`: of the positive class, or of each of more than two."""

    prediction: str | float | bool
    prediction_label: str
    probability: float | dict[str, float] | None
    prediction_id: str
    timestamp: datetime
    model: str
    model_version: str


EXACT = 2.0**53
"""Limit beyond which a float is not exact as a whole number."""

_request = msgspec.json.Decoder(PredictRequest)


@router.post("/predict")
async def post_predict(request: Request, services: Serving) -> Response:
    """Predict with the first served model, for one request or a list: all or none.

    Raises Problem 503 where no model is served; else as `served`.
    """
    return await _answered(request, services, services.served_models.first)


@router.post("/predict/{model}")
async def post_predict_of(request: Request, model: str, services: Serving) -> Response:
    """Predict with the model of that name; 404 where it is not served here. Otherwise as POST /predict."""
    found = services.served_models.get(model)
    if found is None and services.served_models:
        theirs = caller_of(request)
        known = ", ".join(one.name for one in services.served_models.all() if theirs.is_for(one.name))
        raise Problem(404, f"no model {model!r} is served here; served: {known or 'none'}")
    return await _answered(request, services, found)


async def _answered(request: Request, services: Services, model: ServedModel | None) -> Response:
    if model is None:
        raise Problem(503, "no model is served here: start the API with --model-path (DRIFTLINE_MODEL_PATH)")
    check_model(request, model.name)
    with model.used():  # until the response: another version may replace this one meanwhile
        body, kind = await read_body(request), request.headers.get("content-type", "")
        many = body.lstrip()[:1] == b"[" or kind.partition(";")[0].strip().lower() in NDJSON
        asked = await parsed(len(body), _list_of, body, kind) if many else [await parsed(len(body), _one_of, body)]
        told = [_told(one) for one in await served(services, model, asked)]
    return answer(told if many else told[0])


def _one_of(body: bytes) -> PredictRequest:
    asked = decode_one(body, _request, feature_error)
    if wrong := wrong_request(asked):
        raise Problem(422, wrong)
    return asked


def _list_of(body: bytes, kind: str) -> list[PredictRequest]:
    found = decode_items(body.lstrip(), kind, _request, wrong_request, feature_error)
    if found.rejected:
        n, first = len(found.rejected), found.rejected[0]
        words = f"{n:,} cannot be read, so nothing was predicted; the first, at index {first.index}: {first.error}"
        raise Problem(422, words, rejected=found.rejected)
    return [item for _, item in found.accepted]


def _told(one: ServedEvent) -> PredictAnswer:
    return PredictAnswer(
        prediction=_whole(one.prediction),
        prediction_label=one.prediction_label,
        probability=one.probability,
        prediction_id=one.prediction_id,
        timestamp=one.predicted_at,
        model=one.model,
        model_version=one.model_version,
    )


def _whole(value: str | float | bool) -> str | float | bool:
    """Return a label that is a whole number as an int: Kafka returns it as a float, 1.0."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < EXACT else value
