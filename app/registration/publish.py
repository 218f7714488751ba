"""Publication of a model version in the topic `models`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.core.join.state import CompiledModel
from app.core.reference.metadata import by_metric_name
from app.core.reference.names import wrong_name
from app.core.reference.profile import Profile
from app.kafka.audit import by_user, note
from app.kafka.producer import Producer, RecordRefused
from app.kafka.topics import ensure_topics
from app.registration.monitoring import MonitoringFile
from app.settings.secrets import hash_key_of
from app.settings.settings import Settings
from topics.events import DeploymentEvent, Hidden, ModelEvent
from topics.registry import AUDIT, DEPLOYMENTS, MODELS

if TYPE_CHECKING:
    import pandas as pd

    from app.registration.profiling import Reference


class RegistrationError(ValueError):
    """Reason why a model version cannot be registered, with advice."""


def read_baseline(path: Path) -> dict[str, float]:
    """Return metrics by name from a JSON object, or from its `training_metrics`. Raises RegistrationError, OSError."""
    return decode_baseline(path.read_bytes(), str(path))


def decode_baseline(document: bytes, source: str) -> dict[str, float]:
    """Return metrics by name from JSON, as `read_baseline`. Raises RegistrationError that starts with `source`."""
    try:
        found = msgspec.json.decode(document, type=dict[str, object])
        metrics = by_metric_name(msgspec.convert(found.get("training_metrics", found), dict[str, float]))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise RegistrationError(f"{source}: expected an object of metrics and their values: {error}") from None
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise RegistrationError(f"{source}: {name} is not finite")
    return metrics


async def register(
    settings: Settings,
    model: str,
    version: str,
    frame: pd.DataFrame,
    file: MonitoringFile | None = None,
    baseline: Mapping[str, float] | None = None,
    by: str = "",
) -> Reference:
    """Publish the profile of a reference table and its monitoring. Return the reference once Kafka has acknowledged it.

    Registering a version again replaces its registration. `by`: the acting user, for the audit.

    Raises TableError, MonitoringError, RegistrationError, TopicError, BrokerUnavailable.
    """
    from app.registration.profiling import read_reference  # pandas, which the API's start does without

    check_names(model, version)
    file = MonitoringFile() if file is None else file
    reference = read_reference(model, version, frame, file, baseline, hash_key_of(settings))
    event = model_event(reference.profile, file, reference.hidden)
    async with Producer(settings) as producer:
        await ensure_topics(settings, [MODELS, DEPLOYMENTS, AUDIT])
        await note(producer, by_user("model.registered", f"{model}/{version}", by, audit_detail(reference.profile)))
        try:
            await send_registration(producer, event, reference.profile)
        except RecordRefused as error:
            raise RegistrationError(too_large(error)) from None
    return reference


def check_names(model: str, version: str) -> None:
    """Check the names of a model and its version. Raises RegistrationError that names the wrong one."""
    for name, value in (("model", model), ("version", version)):
        if wrong := wrong_name(value):
            raise RegistrationError(f"{name}: {wrong}")


def model_event(profile: Profile, file: MonitoringFile, hidden: Hidden | None) -> ModelEvent:
    """Return the registration of a profile with its monitoring. Raises RegistrationError where it cannot be counted."""
    accuracy = profile.baseline.get("accuracy", 0.0)
    if not 0.0 <= accuracy <= 1.0:
        raise RegistrationError(f"baseline: accuracy must be between 0 and 1, not {accuracy:g}")
    try:
        CompiledModel(profile, file.monitoring.windows, file.monitoring.performance.default_truth)
    except ValueError as error:
        raise RegistrationError(str(error)) from None
    return ModelEvent(
        model=profile.model,
        model_version=profile.model_version,
        profile=msgspec.Raw(msgspec.json.encode(profile)),
        monitoring=msgspec.Raw(msgspec.json.encode(file.monitoring)),
        registered_at=datetime.now(UTC),
        rules=file.rules,
        hidden=hidden,
    )


def audit_detail(profile: Profile) -> dict[str, str]:
    """Return the audit's summary of a registration."""
    return {"profile": profile.profile_id, "rows": str(profile.n)}


async def send_registration(producer: Producer, event: ModelEvent, profile: Profile) -> None:
    """Send a registration, and its deployment for the history. Raises RecordRefused, BrokerUnavailable."""
    key = f"{event.model}/{event.model_version}".encode()
    await producer.send(MODELS, key, msgspec.json.encode(event))
    await producer.send(DEPLOYMENTS, key, msgspec.json.encode(_deployment(event, profile)))


def too_large(error: RecordRefused) -> str:
    """Return the advice on a profile that Kafka refuses."""
    return f"the profile is too large ({error}): leave features out with columns.ignore"


def _deployment(event: ModelEvent, profile: Profile) -> DeploymentEvent:
    return DeploymentEvent(
        model=event.model,
        model_version=event.model_version,
        deployed_at=event.registered_at,
        source="register",
        model_type=profile.task,
        detail=f"profile {profile.profile_id} of {profile.n} rows",
    )
