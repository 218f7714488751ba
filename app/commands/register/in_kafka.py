"""`driftline register` with access to Kafka."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.commands.options import actor
from app.commands.register.given import GivenFiles, RegisteredReference, is_one_file, table_of
from app.commands.register.plan import newest_reports
from app.registration.planning import plan_for, rate_of_model
from app.registration.publish import register
from app.registration.result import registered_version
from app.tables.files import form_words

if TYPE_CHECKING:
    from app.settings.settings import Settings


def register_in_kafka(settings: Settings, model: str, version: str, given: GivenFiles) -> RegisteredReference:
    """Read the reference and publish its profile. Raises TableError, MonitoringError, RegistrationError."""
    frame, found_by = table_of(settings, model, version, given)
    found = asyncio.run(register(settings, model, version, frame, given.file, given.metrics, actor()))
    profile, monitoring = found.profile, given.file.monitoring
    reports = newest_reports(settings, profile)
    rate = rate_of_model(profile, reports)
    words = form_words(given.reference, given.options) if is_one_file(given.reference) else ""
    result = registered_version(
        profile,
        monitoring,
        None if rate is None else plan_for(profile, rate.per_second, monitoring),
        decided={name: decision.reason for name, decision in found.roles.decisions.items()},
        left_out=found.roles.left_out,
        notes=(*([words] if words else []), *found_by, *found.notes),
    )
    return RegisteredReference(result, profile, reports)
