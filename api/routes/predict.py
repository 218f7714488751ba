"""POST /predict: the served model's prediction, told to Kafka before it is told to the client."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.bodies import decode_one, read_body
from api.incoming import encode, new_id, utc_now
from api.problems import Problem
from api.services import Services, Serving
from app.runtime.producer import RecordRefused
from app.serving import Bundle, MissingFeatures, Predicted, WrongTypes, predict
from topics.events import Name, PredictionEvent, Scalar
from topics.registry import PREDICTIONS

log = logging.getLogger(__name__)
router = APIRouter()


class PredictRequest(msgspec.Struct, frozen=True):
    """Raw features; `request_id` becomes the prediction's id."""

    features: dict[str, Scalar]
    request_id: Name | None = None


class PredictAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is told to the client. `probability`: of the positive class, or of each of more than two."""

    prediction: str | float | bool
    prediction_label: str
    probability: float | dict[str, float] | None
    prediction_id: str
    timestamp: datetime
    model: str
    model_version: str


_request = msgspec.json.Decoder(PredictRequest)


@router.post("/predict")
async def post_predict(request: Request, services: Serving) -> Response:
    """Predict; 400 names all missing features, or all of the wrong type; 503 where no model is served."""
    if services.bundle is None:
        raise Problem(503, "no model is served here: start the API with --model-path (DRIFTLINE_MODEL_PATH)")
    asked = decode_one(await read_body(request), _request)
    training = services.bundle.training
    found = await _predicted(services, services.bundle, asked.features)
    event = PredictionEvent(
        prediction_id=asked.request_id or new_id(),
        model=training.model,
        model_version=training.model_version,
        timestamp=(now := utc_now()),
        features=asked.features,
        prediction=found.prediction,
        probability=found.probability,
    )
    try:
        await services.producer.send(PREDICTIONS, event.prediction_id.encode(), encode(event))
    except RecordRefused as error:
        raise Problem(413, str(error)) from None
    return answer(
        PredictAnswer(
            prediction=found.prediction,
            prediction_label=found.label,
            probability=found.probability,
            prediction_id=event.prediction_id,
            timestamp=now,
            model=training.model,
            model_version=training.model_version,
        )
    )


async def _predicted(services: Services, bundle: Bundle, features: dict[str, Scalar]) -> Predicted:
    loop = asyncio.get_running_loop()
    try:
        (found,) = await loop.run_in_executor(services.predicting, predict, bundle, [features])
    except MissingFeatures as error:
        raise Problem(400, str(error), missing_features=error.names) from None
    except WrongTypes as error:
        raise Problem(400, str(error), errors=error.fields) from None
    except Exception as error:
        log.error("the model failed: %s", type(error).__name__)  # its words may hold feature values
        raise Problem(500, f"the model failed on these features: {type(error).__name__}") from error
    return found
