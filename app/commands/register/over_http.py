"""`driftline register --api`: the reference, or its profile where the file is too large, to the API."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app.commands.api_client import ApiClient, ApiError, address
from app.commands.register.given import GivenFiles, RegisteredReference, is_one_file, table_of
from app.core.reference.profile import Profile
from app.registration.result import RegisteredVersion
from topics.events import DriftReport

if TYPE_CHECKING:
    from app.settings.settings import Settings

LARGEST_FILE = 15 << 20
"""Bytes of a reference sent as a file, at most; the API takes bodies of 16 MiB."""
TOO_LARGE = 413

Parts = dict[str, tuple[str | None, bytes]]


class _Reports(msgspec.Struct):
    reports: list[DriftReport]


class _WithProfile(msgspec.Struct):
    profile: Profile


def register_over_http(
    settings: Settings, client: ApiClient, model: str, version: str, given: GivenFiles
) -> RegisteredReference:
    """Register over HTTP. Raises ApiError, and of a profile that is made here TableError, MonitoringError."""
    result = _sent(settings, client, model, version, given)
    whole = client.get(address("models", model, "versions", version), _WithProfile, profile="true")
    return RegisteredReference(result, whole.profile, [] if result.usual is not None else _reports(client, model))


def _sent(settings: Settings, client: ApiClient, model: str, version: str, given: GivenFiles) -> RegisteredVersion:
    path = address("models", model, "versions", version)
    config: Parts = {} if given.config is None else {"config": given.config}
    source = given.reference
    if is_one_file(source):
        if source.stat().st_size <= LARGEST_FILE:
            try:
                return client.post(path, RegisteredVersion, files={**_of_file(source, given), **config})
            except ApiError as error:
                if error.http_status != TOO_LARGE:
                    raise
        print(f"{source}: is too large to be sent, so that its profile is made here", file=sys.stderr)
    return _sent_as_profile(settings, client, model, version, given, config)


def _of_file(path: Path, given: GivenFiles) -> Parts:
    parts: Parts = {"reference": (path.name, path.read_bytes())}
    if given.baseline is not None:
        parts["baseline"] = (given.baseline.name, given.baseline.read_bytes())
    for name in ("encoding", "separator", "decimal"):
        if (value := getattr(given.options, name)) is not None:
            parts[name] = (None, value.encode())
    return parts


def _sent_as_profile(
    settings: Settings, client: ApiClient, model: str, version: str, given: GivenFiles, config: Parts
) -> RegisteredVersion:
    from app.registration.profiling import read_reference
    from app.registration.upload import decisions_of, parts_of
    from app.settings.secrets import hash_key_of

    frame, found_by = table_of(settings, model, version, given)
    found = read_reference(model, version, frame, given.file, given.metrics, hash_key_of(settings))
    result = client.post(
        address("models", model, "versions", version), RegisteredVersion, files={**parts_of(found), **config}
    )
    decisions = decisions_of(found)
    return msgspec.structs.replace(result, **decisions | {"notes": (*found_by, *decisions["notes"])})


def _reports(client: ApiClient, model: str) -> list[DriftReport]:
    """Return the newest drift report of each version of a model that has rows."""
    paths = [address("models", model, one.model_version, "drift") for one in client.versions(model)]
    found = [client.get(path, _Reports, limit=1).reports for path in paths]
    return [report for reports in found for report in reports if report.n]
