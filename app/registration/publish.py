"""Publication of a model version in the topic `models`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pandas as pd

from app.core.join.state import CompiledModel
from app.core.reference.metadata import by_metric_name
from app.core.reference.names import wrong_name
from app.core.reference.profile import Profile
from app.kafka.audit import by_user, note
from app.kafka.producer import Producer, RecordRefused
from app.kafka.topics import ensure_topics
from app.registration.monitoring import MonitoringFile
from app.registration.profiling import Reference, read_reference
from app.settings.secrets import hash_key_of
from app.settings.settings import Settings
from topics.events import DeploymentEvent, ModelEvent
from topics.registry import AUDIT, DEPLOYMENTS, MODELS


class RegistrationError(ValueError):
    """Reason why a model version cannot be registered, with advice."""


def read_baseline(path: Path) -> dict[str, float]:
    """Return metrics by name from a JSON object, or from its `training_metrics`. Raises RegistrationError, OSError."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
        metrics = by_metric_name(msgspec.convert(found.get("training_metrics", found), dict[str, float]))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise RegistrationError(f"{path}: expected an object of metrics and their values: {error}") from None
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise RegistrationError(f"{path}: {name} is not finite")
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
    for name, value in (("model", model), ("version", version)):
        if wrong := wrong_name(value):
            raise RegistrationError(f"{name}: {wrong}")
    file = MonitoringFile() if file is None else file
    reference = read_reference(model, version, frame, file, baseline, hash_key_of(settings))
    profile = reference.profile
    try:
        CompiledModel(profile, file.monitoring.windows, file.monitoring.performance.default_truth)
    except ValueError as error:
        raise RegistrationError(str(error)) from None
    event = ModelEvent(
        model=model,
        model_version=version,
        profile=msgspec.Raw(msgspec.json.encode(profile)),
        monitoring=msgspec.Raw(msgspec.json.encode(file.monitoring)),
        registered_at=datetime.now(UTC),
        rules=file.rules,
        hidden=reference.hidden,
    )
    async with Producer(settings) as producer:
        await ensure_topics(settings, [MODELS, DEPLOYMENTS, AUDIT])
        detail = {"profile": profile.profile_id, "rows": str(profile.n)}
        await note(producer, by_user("model.registered", f"{model}/{version}", by, detail))
        try:
            await producer.send(MODELS, f"{model}/{version}".encode(), msgspec.json.encode(event))
        except RecordRefused as error:
            raise RegistrationError(
                f"the profile is too large ({error}): leave features out with columns.ignore"
            ) from None
        await producer.send(
            DEPLOYMENTS, f"{model}/{version}".encode(), msgspec.json.encode(_deployment(event, profile))
        )
    return reference


def _deployment(event: ModelEvent, profile: Profile) -> DeploymentEvent:
    return DeploymentEvent(
        model=event.model,
        model_version=event.model_version,
        deployed_at=event.registered_at,
        source="register",
        model_type=profile.task,
        detail=f"profile {profile.profile_id} of {profile.n} rows",
    )
