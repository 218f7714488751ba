"""POST /training-runs and POST /deployments: trainings and deployments of other tools, into Kafka and the history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import msgspec
from fastapi import APIRouter, Request, Response

from api.auth import caller_of, check_model
from api.http.problems import Problem
from api.http.responses import answer
from api.intake.bodies import decode_whole, read_body
from api.services import Services, Serving
from app.kafka.audit import note
from app.kafka.producer import RecordRefused
from app.registration.reported import (
    KINDS,
    DeploymentRequest,
    Reported,
    ReportError,
    TrainingRunRequest,
    deployment_of,
    detail_of,
    send_reported,
    training_run_of,
)
from topics.events import utc_now

router = APIRouter()

Asked = TypeVar("Asked", TrainingRunRequest, DeploymentRequest)

_training_runs = msgspec.json.Decoder(TrainingRunRequest)
_deployments = msgspec.json.Decoder(DeploymentRequest)


@router.post("/training-runs", status_code=201)
async def post_training_run(request: Request, services: Serving) -> Response:
    """Report a training: 201 once Kafka has it; `GET /history/training` has it once the recorder has written it.

    Missing fields are 400 and named, wrong ones 422. A training with a `run_id` may be sent again.
    """
    return await _added(request, services, _training_runs, training_run_of)


@router.post("/deployments", status_code=201)
async def post_deployment(request: Request, services: Serving) -> Response:
    """Report a deployment: 201 once Kafka has it; `GET /history/deployments` has it once the recorder has written it.

    Missing fields are 400 and named, wrong ones 422. A deployment with its `deployed_at` may be sent again.
    """
    return await _added(request, services, _deployments, deployment_of)


async def _added(
    request: Request,
    services: Services,
    decoder: msgspec.json.Decoder[Asked],
    made: Callable[[Asked, datetime], Reported],
) -> Response:
    asked = decode_whole(await read_body(request), decoder)
    check_model(request, asked.model)
    try:
        event = made(asked, utc_now())
    except ReportError as error:
        raise Problem(422, str(error)) from None
    _, action = KINDS[type(event)]
    subject = f"{event.model}/{event.model_version}"
    await note(services.producer, caller_of(request).audited(action, subject, detail_of(event)))
    try:
        await send_reported(services.producer, event)
    except RecordRefused as error:
        raise Problem(413, str(error)) from None
    return answer(event, 201)
