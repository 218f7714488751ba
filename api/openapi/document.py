"""The OpenAPI document: FastAPI's paths and parameters, with the bodies that the routes decode themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.auth.permissions import needed
from api.inference.predict import PredictRequest
from api.intake.bodies import MAX_ITEMS
from api.intake.events import IncomingFeedback, IncomingPrediction
from api.openapi.operation_names import TAGS, operation_id, tag
from api.routes.heartbeats import Closed
from api.routes.predict import PredictAnswer
from api.routes.registration import REGISTRATION_FORM, RetiredVersion, VersionRegistration
from api.routes.schemas import (
    HISTORY,
    Accepted,
    Alerts,
    AllAlerts,
    DriftReports,
    Health,
    Models,
    PerformanceReports,
    ProblemDetails,
    Ready,
    Receivers,
    Recorded,
    Root,
    SentAlert,
    Silence,
    Silences,
)
from api.routes.serve import Served, ServeRequest
from app.alerting.events.external import AlertRequest
from app.alerting.receivers.requests import ReceiverRequest, ShownReceiver
from app.alerting.silences.requests import SilenceRequest
from app.contract.schemas import components
from app.read_model.columns import Columns, ColumnView
from app.read_model.summary import ModelSummary
from app.read_model.timeline import Timeline
from app.read_model.workers import Monitored
from app.registration.reported import DeploymentRequest, TrainingRunRequest
from app.registration.result import RegisteredVersion
from topics.events import DeploymentEvent, Heartbeat, TrainingRunEvent

Document = dict[str, Any]

CLOUD_EVENTS = "x-cloudevents"
"""Member of a request body for its forms as CloudEvents, which `content` does not list."""

AT = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True)
class OperationBodies:
    """Bodies of an operation: `takes` (None: no body) and `gives`. With `many`, also a list, lines or CloudEvents.

    `gives` may be a media type, for responses other than JSON. `each`: one item, a list or lines, with a response to
    each. `form`: parts of multipart/form-data, by name.
    """

    gives: type | str
    takes: type | None = None
    many: bool = False
    each: bool = False
    form: Mapping[str, Document] | None = None


OPERATIONS: dict[tuple[str, str], OperationBodies] = {
    ("get", "/"): OperationBodies(Root),
    ("get", "/health"): OperationBodies(Health),
    ("get", "/ready"): OperationBodies(Ready),
    ("get", "/metrics"): OperationBodies("text/plain"),
    ("post", "/predict"): OperationBodies(PredictAnswer, PredictRequest, each=True),
    ("post", "/predict/{model}"): OperationBodies(PredictAnswer, PredictRequest, each=True),
    ("post", "/models/{model}/serve"): OperationBodies(Served, ServeRequest),
    ("post", "/predictions"): OperationBodies(Accepted, IncomingPrediction, many=True),
    ("post", "/feedback"): OperationBodies(Recorded, IncomingFeedback, many=True),
    ("post", "/heartbeats"): OperationBodies(Closed, Heartbeat),
    ("get", "/models"): OperationBodies(Models),
    ("get", "/models/{model}/{version}"): OperationBodies(ModelSummary),
    ("get", "/models/{model}/versions/{version}"): OperationBodies(VersionRegistration),
    ("post", "/models/{model}/versions/{version}"): OperationBodies(RegisteredVersion, form=REGISTRATION_FORM),
    ("delete", "/models/{model}/versions/{version}"): OperationBodies(RetiredVersion),
    ("get", "/models/{model}/{version}/drift"): OperationBodies(DriftReports),
    ("get", "/models/{model}/{version}/performance"): OperationBodies(PerformanceReports),
    ("get", "/models/{model}/{version}/alerts"): OperationBodies(Alerts),
    ("get", "/models/{model}/{version}/timeline"): OperationBodies(Timeline),
    **{("get", path): OperationBodies(shape) for path, shape in HISTORY.items()},
    ("get", "/models/{model}/{version}/features"): OperationBodies(Columns),
    ("get", "/models/{model}/{version}/features/{name}"): OperationBodies(ColumnView),
    ("get", "/alerts"): OperationBodies(AllAlerts),
    ("post", "/alerts"): OperationBodies(SentAlert, AlertRequest),
    ("post", "/training-runs"): OperationBodies(TrainingRunEvent, TrainingRunRequest),
    ("post", "/deployments"): OperationBodies(DeploymentEvent, DeploymentRequest),
    ("get", "/monitor"): OperationBodies(Monitored),
    ("get", "/events"): OperationBodies("text/event-stream"),
    ("get", "/silences"): OperationBodies(Silences),
    ("post", "/silences"): OperationBodies(Silence, SilenceRequest),
    ("delete", "/silences/{silence_id}"): OperationBodies(Silence),
    ("get", "/receivers"): OperationBodies(Receivers),
    ("post", "/receivers"): OperationBodies(ShownReceiver, ReceiverRequest),
    ("delete", "/receivers/{name}"): OperationBodies(ShownReceiver),
    ("get", "/dashboard"): OperationBodies("text/html"),
    ("get", "/dashboard/{name}"): OperationBodies("text/*"),
}
"""Every operation. A route that is missing here has no documented bodies, and fails a test."""


def openapi(app: FastAPI) -> Document:
    """Return the document of an application; it is made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _made(app)
    return app.openapi_schema


def _made(app: FastAPI) -> Document:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _describe(operation, OPERATIONS.get((method, path), OperationBodies("application/json")))
            operation["operationId"], operation["tags"] = operation_id(method, path), [tag(path)]
            role = needed(method.upper(), path)
            operation["security"] = [] if role is None else [{"key": []}]
            if role is not None:
                operation["description"] = f"{operation.get('description', '')}\n\nRole: {role}.".strip()
    kinds = {kind for one in OPERATIONS.values() for kind in (one.gives, one.takes) if isinstance(kind, type)}
    ordered = sorted({*kinds, ProblemDetails}, key=lambda kind: kind.__name__)
    document["tags"] = [{"name": name, "description": told} for name, told in TAGS.items()]
    document["components"] = {
        "schemas": {name: _without_tuples(schema) for name, schema in components(ordered, AT).items()},
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A key of `driftline keys`."}},
    }
    return document


def _without_tuples(schema: Any) -> Any:
    """Describe arrays of a fixed length by their items' types: client generators do not support `items: false`."""
    if isinstance(schema, list):
        return [_without_tuples(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _without_tuples(one) for name, one in schema.items() if name != "prefixItems"}
    if "prefixItems" in schema:
        kinds = [_without_tuples(one) for one in schema["prefixItems"]]
        different = [one for i, one in enumerate(kinds) if one not in kinds[:i]]
        found["items"] = different[0] if len(different) == 1 else {"anyOf": different}
    return found


def _describe(operation: Document, bodies: OperationBodies) -> None:
    """Add the bodies to an operation; every other response is a problem."""
    if bodies.form is not None:
        schema = {"type": "object", "properties": dict(bodies.form)}
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    if bodies.takes is not None:
        operation["requestBody"] = {"required": True, "content": _content(bodies.takes, bodies)}
        if bodies.many:
            operation["requestBody"][CLOUD_EVENTS] = _cloud_events(bodies.takes)
    answers = {status: told for status, told in operation["responses"].items() if status.startswith("2")}
    for told in answers.values():
        told["content"] = (
            {bodies.gives: {"schema": {"type": "string"}}}
            if isinstance(bodies.gives, str)
            else {"application/json": {"schema": _one_or_many(_ref(bodies.gives), bodies.each)}}
        )
    problem = {"description": "What is wrong, and which field", "content": {}}
    problem["content"] = {"application/problem+json": {"schema": _ref(ProblemDetails)}}
    operation["responses"] = {**answers, "default": problem}


def _content(kind: type, bodies: OperationBodies) -> Document:
    one = _ref(kind)
    content = {"application/json": {"schema": _one_or_many(one, bodies.many or bodies.each)}}
    if not (bodies.many or bodies.each):
        return content
    content["application/x-ndjson"] = {"schema": {"type": "string", "description": f"One {kind.__name__} a line."}}
    return content


def _cloud_events(kind: type) -> Document:
    """Return the description of CloudEvents bodies.

    In `content`, generated clients could not send anything (ADR 171).
    """
    cloud_event = {
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            **{name: {"type": "string", "minLength": 1} for name in ("id", "source", "type")},
            "time": {"type": "string", "format": "date-time"},
            "data": _ref(kind),
        },
        "required": ["specversion", "id", "source", "type", "data"],
    }
    return {
        "application/cloudevents+json": {"schema": cloud_event},
        "application/cloudevents-batch+json": {"schema": _list(cloud_event)},
    }


def _one_or_many(one: Document, many: bool) -> Document:
    return {"anyOf": [one, _list(one)]} if many else one


def _list(item: Document) -> Document:
    return {"type": "array", "items": item, "minItems": 1, "maxItems": MAX_ITEMS}


def _ref(kind: type) -> Document:
    return {"$ref": AT.format(name=kind.__name__)}
