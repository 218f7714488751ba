"""`driftline reports --api`: reports from the API."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator

import msgspec

from app.commands.api_client import ApiClient, StreamedChange, address, not_registered
from app.commands.options import CommandError
from topics.events import AnyReport, DriftReport, PerformanceReport

MOST_WINDOWS = 500
"""Windows that the API keeps of each model version."""
NEWEST = 20
"""Windows read again after a change."""
KINDS = ("drift", "performance")
PARTIAL = (
    "note: the API has drift and performance reports of the newest windows; those of traffic, intake and workers, and "
    "older windows, are in Kafka"
)


class _Reports(msgspec.Struct):
    reports: list[AnyReport]


def reports_over_http(
    client: ApiClient, model: str, version: str | None, kind: str | None, *, follow: bool
) -> Generator[DriftReport | PerformanceReport | None, None, None]:
    """Yield the reports of a model, None once all are read, and with `follow` reports again as they change.

    Raises ApiError, and CommandError for a model that is not known or a kind that the API does not have.
    """
    if kind not in (None, *KINDS):
        raise CommandError(f"--kind: {kind} reports are in Kafka alone; with --api: {' or '.join(KINDS)}")
    print(PARTIAL, file=sys.stderr, flush=True)
    kinds = KINDS if kind is None else (kind,)
    changes: Iterator[StreamedChange] = client.changes() if follow else iter(())
    versions = [one for one in client.versions(model) if version in (None, one.model_version)]
    if not versions:
        raise not_registered(model if version is None else f"{model} version {version}")
    for one in versions:
        if one.state == "learning":
            print(f"{model} {one.model_version}: {one.not_judged}", file=sys.stderr, flush=True)
        yield from _read(client, model, one.model_version, kinds, MOST_WINDOWS)
    yield None
    for change in changes:
        if change.kind == "heartbeat":
            continue
        named_now = [_named(found) for found in change.data.get("models", ())]
        for name, its_version in named_now:
            if name == model and version in (None, its_version):
                yield from _read(client, model, its_version, kinds, NEWEST)


def _read(
    client: ApiClient, model: str, version: str, kinds: tuple[str, ...], limit: int
) -> Iterator[DriftReport | PerformanceReport]:
    for kind in kinds:
        for report in client.get(address("models", model, version, kind), _Reports, limit=limit).reports:
            if isinstance(report, (DriftReport, PerformanceReport)):
                yield report


def _named(found: dict[str, str]) -> tuple[str, str]:
    return found["model"], found["model_version"]
