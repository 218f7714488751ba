"""POST, GET and DELETE /models/{model}/versions/{version}: make, show and end a registration."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from msgspec import UNSET, UnsetType

from api.auth import caller_of
from api.http.problems import Problem, unavailable
from api.http.responses import answer
from api.intake.bodies import read_body
from api.intake.forms import form_of
from api.intake.parsing import parsed
from api.intake.references import PARTS, GivenReference, reference_of
from api.routes.models import loaded, unregistered
from api.services import Services, Serving
from app.core.config.monitoring import Monitoring
from app.core.reference.profile import Kind, Profile, Task
from app.kafka.audit import note
from app.kafka.producer import RecordRefused
from app.kafka.record_at import record_at
from app.read_model.summary import life_of
from app.registration.models_table import RegisteredModel, decoded
from app.registration.planning import plan_for, rate_of_model
from app.registration.publish import RegistrationError, audit_detail, model_event, send_registration, too_large
from app.registration.result import registered_version
from app.registration.retiring import retired, send_retired
from app.settings.secrets import hash_key_of
from topics.events import DriftReport, Hidden, ModelEvent, VersionEvent, utc_now
from topics.registry import MODELS

router = APIRouter()

_events = msgspec.json.Decoder(ModelEvent)

_FILE = {"type": "string", "format": "binary"}
_TEXT = {"type": "string"}
REGISTRATION_FORM: Mapping[str, dict[str, Any]] = {
    "reference": {**_FILE, "description": "CSV, Parquet or JSONL (.csv.gz and .jsonl.gz too), by its filename."},
    "profile": {**_FILE, "description": "In the place of `reference`: its profile as JSON, made elsewhere."},
    "hidden": {**_FILE, "description": "Of a profile: what was redacted and hashed before it was made, as JSON."},
    "config": {**_FILE, "description": "monitoring.json."},
    "baseline": {**_FILE, "description": "JSON of metrics that replace those found in the reference."},
    "encoding": {**_TEXT, "description": "Of CSV. Default: UTF-8, or UTF-16 by its mark."},
    "separator": {**_TEXT, "description": "Of CSV: one character, or `tab`. Default: found."},
    "decimal": {**_TEXT, "enum": [".", ","], "description": "Of CSV. Default: found."},
}
"""Schemas of the form's parts, by the names of `PARTS`."""

WithProfile = Annotated[bool, Query(description="the whole reference profile too")]
Reason = Annotated[str, Query(description="why; it is in the ends of its alerts", max_length=1000)]


class VersionRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """Registration in force. `status`: state of the version's life, entered at `since` for `reason`.

    `rules`: the rules of monitoring.json itself. `hidden`: columns hidden from Kafka. `profile`: only on request.
    """

    model: str
    model_version: str
    registered_at: datetime
    status: Literal["registered", "serving", "retired", "learning"]
    since: datetime | None
    reason: str
    profile_id: str
    task: Task
    n: int
    labels: Sequence[str]
    baseline: Mapping[str, float]
    features: Mapping[str, Kind]
    monitoring: Monitoring
    rules: Mapping[str, Mapping[str, object]]
    hidden: Hidden | None
    profile: Profile | UnsetType = UNSET


class RetiredVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Retired version, as `driftline retire --json` prints it."""

    model: str
    model_version: str
    retired: bool
    since: datetime | None
    reason: str


@router.post("/models/{model}/versions/{version}", status_code=201)
async def post_version(request: Request, model: str, version: str, services: Serving) -> Response:
    """Register a model version with its reference and its rules: 201 once Kafka has it, 200 where it was registered.

    Takes a form (multipart/form-data) with the parts of `driftline register`, and returns the same result. `reference`
    is a file. Its rows never reach Kafka, only their profile does. A mistake is 422, with the part and the key, column
    or row.
    """
    loaded(services)
    body = await read_body(request)
    form = await parsed(len(body), form_of, body, request.headers.get("content-type", ""), PARTS)
    async with services.registering:
        given = await asyncio.to_thread(reference_of, model, version, form, hash_key_of(services.settings))
        try:
            event = await asyncio.to_thread(model_event, given.profile, given.file, given.hidden)
        except RegistrationError as error:
            raise Problem(422, str(error)) from None
    is_new = (model, version) not in services.models
    detail = audit_detail(given.profile)
    await note(services.producer, caller_of(request).audited("model.registered", f"{model}/{version}", detail))
    try:
        await send_registration(services.producer, event, given.profile)
    except RecordRefused as error:
        raise Problem(413, too_large(error)) from None
    await services.models.catch_up()
    return answer(await asyncio.to_thread(_result, services, given), 201 if is_new else 200)


def _result(services: Services, given: GivenReference) -> object:
    profile, monitoring = given.profile, given.file.monitoring
    rate = rate_of_model(profile, _reports(services, profile.model))
    plan = None if rate is None else plan_for(profile, rate.per_second, monitoring)
    return registered_version(
        profile, monitoring, plan, decided=given.decided, left_out=given.left_out, notes=given.notes
    )


def _reports(services: Services, model: str) -> list[DriftReport]:
    """Return the newest drift report of each version of a model that has rows."""
    found = [findings.drift.latest for (name, _), findings in tuple(services.reports.findings.items()) if name == model]
    return [report for report in found if report is not None and report.n]


@router.get("/models/{model}/versions/{version}")
async def get_version(
    request: Request, model: str, version: str, services: Serving, profile: WithProfile = False
) -> Response:
    """Return the registration of a model version: a summary of its reference (or all of it), and its monitoring."""
    loaded(services)
    found = await _registered(request, services, model, version)
    life = life_of(services.models, services.versions, model, version)
    return answer(await asyncio.to_thread(_shown, found, life, with_profile=profile))


def _shown(found: RegisteredModel, life: VersionEvent | None, *, with_profile: bool) -> VersionRegistration:
    profile = found.profile
    return VersionRegistration(
        model=profile.model,
        model_version=profile.model_version,
        registered_at=found.registered_at,
        status="registered" if life is None else life.status,
        since=None if life is None else life.since,
        reason="" if life is None else life.reason,
        profile_id=profile.profile_id,
        task=profile.task,
        n=profile.n,
        labels=profile.labels,
        baseline=profile.baseline,
        features={column.name: column.kind for column in profile.features},
        monitoring=found.monitoring,
        rules=found.rules,
        hidden=found.hidden,
        profile=profile if with_profile else UNSET,
    )


@router.delete("/models/{model}/versions/{version}")
async def delete_version(
    request: Request, model: str, version: str, services: Serving, reason: Reason = ""
) -> Response:
    """Retire a model version: its alerts are resolved with the reason, and no new one is raised. Idempotent.

    Its predictions are still counted. Registering it again takes it back.
    """
    loaded(services)
    await services.models.catch_up()
    await services.versions.catch_up()
    if (model, version) not in services.models:
        raise unregistered(request, services, model, version)
    life = life_of(services.models, services.versions, model, version)
    if life is None or life.status != "retired" or life.by != "command":
        life = retired(model, version, reason, utc_now())
        await note(
            services.producer, caller_of(request).audited("model.retired", f"{model}/{version}", {"reason": reason})
        )
        await send_retired(services.producer, life)
        await services.versions.catch_up()
    return answer(
        RetiredVersion(model=model, model_version=version, retired=True, since=life.since, reason=life.reason)
    )


async def _registered(request: Request, services: Services, model: str, version: str) -> RegisteredModel:
    """Return the newest registration, read from Kafka: the API itself keeps a summary of each."""
    await services.models.catch_up()
    for _ in range(3):
        offset = services.models.offset(model, version)
        if offset is None:
            raise unregistered(request, services, model, version)
        value = await record_at(services.settings, MODELS, offset)
        if value is not None:
            return await asyncio.to_thread(_decoded, value)
        await services.models.catch_up()  # registered again meanwhile, and the older record is gone
    raise unavailable(f"{model} {version}: is registered over and over; try again")


def _decoded(value: bytes) -> RegisteredModel:
    try:
        return decoded(_events.decode(value))
    except (msgspec.MsgspecError, ValueError) as error:
        raise Problem(
            409, f"the registration cannot be read by this release ({error}): register the version again"
        ) from None
