"""Alerts that other systems send: their validation, and the transition that each request causes.

Pure: no clock, no randomness. These are alerts of the rule `external`, and are processed as all others. An alert is
identified by its model version, if it has any, and by its `dedupe_key`, which becomes the label `subject`.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from app.alerting.events.links import ALERTS, RUNBOOK
from app.alerting.rules.lifecycle import fingerprint_of
from app.core.config.rule_layers import check_runbook
from app.core.reference.names import wrong_name
from topics.events import AlertEvent, AlertStatus, Level, Scalar

EXTERNAL = "external"
LASTS = 3600.0
"""Default time in seconds for which an alert without a `dedupe_key` fires: nobody can be expected to resolve it."""
MOST_SECONDS = 30 * 86_400.0
LONGEST_TITLE, LONGEST_KEY, LONGEST_MESSAGE = 200, 200, 10_000
MOST_METADATA, MOST_BYTES = 100, 1 << 16
"""Number of metadata entries, and of bytes of all entries as JSON."""
SHOWN = 20
"""Number of metadata entries that the message names."""
NUL = "\x00"


class ExternalError(ValueError):
    """Reason why an alert cannot be sent or resolved, starting with the field. `status`: the HTTP status code."""

    def __init__(self, words: str, status: int = 422) -> None:
        super().__init__(words)
        self.status = status


class AlertRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that sends or resolves an alert.

    `dedupe_key` identifies the alert: sent again with the same key, it is the same alert. With `status` "resolved" the
    request resolves the alert and needs no title. The alert to resolve can also be named by the `fingerprint` in the
    response. Without a key each request is an alert of its own. `expires_after`: seconds after which the alert is
    resolved automatically. If unset, the alert fires until it is resolved, or for an hour where it has no key.
    """

    title: str | None = None
    message: str = ""
    level: Level = "warning"
    metadata: dict[str, Scalar] = {}
    status: AlertStatus = "firing"
    dedupe_key: str | None = None
    fingerprint: str | None = None
    model: str | None = None
    model_version: str | None = None
    owner: str = ""
    runbook_url: str = ""
    expires_after: float | None = None


def check(asked: AlertRequest) -> None:
    """Check a request. Raises ExternalError, which names the first invalid field."""
    for wrong in (*_wrong_identity(asked), *_wrong_words(asked), *_wrong_extras(asked)):
        raise wrong


def _wrong_identity(asked: AlertRequest) -> Iterator[ExternalError]:
    firing, key = asked.status == "firing", asked.dedupe_key
    if firing and asked.title is None:
        yield ExternalError("title: missing", 400)
    if firing and asked.fingerprint is not None:
        yield ExternalError("fingerprint: names what is to be resolved; an alert that fires has a dedupe_key")
    if not firing and key is None and asked.fingerprint is None:
        yield ExternalError("dedupe_key: missing; it names what is to be resolved, and so does fingerprint", 400)
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
        yield ExternalError(f"dedupe_key: must have 1 to {LONGEST_KEY} printable characters")
    if asked.model_version is not None and asked.model is None:
        yield ExternalError("model: missing; versions are a model's", 400)
    for name in ("model", "model_version"):
        value = getattr(asked, name)
        if value is not None and (wrong := wrong_name(value)):
            yield ExternalError(f"{name}: {wrong}")


def _wrong_words(asked: AlertRequest) -> Iterator[ExternalError]:
    if asked.title is not None and not 0 < len(asked.title.strip()) <= LONGEST_TITLE:
        yield ExternalError(f"title: must have 1 to {LONGEST_TITLE} characters")
    if len(asked.message) > LONGEST_MESSAGE:
        yield ExternalError(f"message: must have at most {LONGEST_MESSAGE:,} characters")
    if len(asked.metadata) > MOST_METADATA or len(msgspec.json.encode(asked.metadata)) > MOST_BYTES:
        yield ExternalError(f"metadata: must have at most {MOST_METADATA} entries, and {MOST_BYTES >> 10} KiB as JSON")
    named = {"title": asked.title or "", "message": asked.message, "metadata": "".join(map(str, asked.metadata))}
    named["metadata"] += "".join(value for value in asked.metadata.values() if isinstance(value, str))
    for name, text in named.items():
        if NUL in text:
            yield ExternalError(f"{name}: may not have a NUL character in it")


def _wrong_extras(asked: AlertRequest) -> Iterator[ExternalError]:
    if len(asked.owner) > LONGEST_KEY or not asked.owner.isprintable():
        yield ExternalError(f"owner: must have at most {LONGEST_KEY} printable characters")
    if asked.expires_after is not None and not 0.0 < asked.expires_after <= MOST_SECONDS:
        yield ExternalError(f"expires_after: must be above 0 and at most {MOST_SECONDS:,.0f} seconds")
    try:
        check_runbook(asked.runbook_url)
    except ValueError as error:
        yield ExternalError(f"runbook_url: {error}")


def labels_of(asked: AlertRequest, key: str) -> dict[str, str]:
    """Return the labels that identify an alert. `key`: a new name, for an alert without a `dedupe_key`."""
    labels = {"rule": EXTERNAL, "subject": asked.dedupe_key or key}
    given = {"model": asked.model, "model_version": asked.model_version}
    return {name: value for name, value in given.items() if value is not None} | labels


def fingerprint_wanted(asked: AlertRequest, key: str) -> str:
    """Return the fingerprint of the alert that a request names."""
    return asked.fingerprint or fingerprint_of(labels_of(asked, key))


def newest(alerts: Iterable[AlertEvent], fingerprint: str) -> AlertEvent | None:
    """Return the newest known transition of an alert; None where there is none."""
    its = [alert for alert in alerts if alert.fingerprint == fingerprint]
    return max(its, key=lambda alert: (alert.emitted_at, alert.status == "resolved"), default=None)


def transition_of(
    asked: AlertRequest, known: AlertEvent | None, now: datetime, key: str, page: str = ""
) -> AlertEvent:  # fmt: skip
    """Return the transition that a valid request causes, or `known` itself where nothing changes.

    `known`: the newest transition of the alert. `key`: as in `labels_of`. `page`: the API's address, for links. The
    same request after the same transition has the same `alert_id`, whichever process handles it. Raises ExternalError.
    """
    if asked.status == "resolved":
        return _resolved(asked, known, now)
    labels = labels_of(asked, key)
    before = known if known is not None and known.status == "firing" else None
    seconds = LASTS if asked.dedupe_key is None and asked.expires_after is None else asked.expires_after
    title = (asked.title or "").strip()
    links = {RUNBOOK: asked.runbook_url} if asked.runbook_url else {}
    if page:
        links[ALERTS] = f"{page.rstrip('/')}/dashboard#/alerts"
    fingerprint = fingerprint_of(labels)
    said = [fingerprint, asked.level, title, asked.message, asked.metadata, asked.owner, links]
    alert = AlertEvent(
        alert_id=_hash(["firing", "" if known is None else known.alert_id, said]),
        fingerprint=fingerprint,
        status="firing",
        level=asked.level,
        rule=EXTERNAL,
        title=title,
        message="\n".join(_lines(asked, labels)),
        labels=labels,
        started_at=now if before is None else before.started_at,
        ended_at=None,
        evidence={"metadata": dict(asked.metadata)} if asked.metadata else {},
        links=links,
        emitted_at=now,
        owner=asked.owner,
        expires_at=None if seconds is None else now + timedelta(seconds=seconds),
    )
    if before is None or is_over(before, now) or _content(before) != _content(alert):
        return alert
    return before if before.expires_at == alert.expires_at else replace(before, expires_at=alert.expires_at)


def is_over(alert: AlertEvent, now: datetime) -> bool:
    """Return whether a firing alert has expired, since no request has renewed it in time."""
    return alert.status == "firing" and alert.expires_at is not None and alert.expires_at <= now


def expired(alert: AlertEvent, now: datetime) -> AlertEvent:
    """Return the resolved transition of an alert that has expired."""
    assert alert.expires_at is not None
    message = f"{alert.message}\nIt was neither sent again nor resolved until it expired.".strip()
    return replace(
        alert, alert_id=f"{alert.alert_id}-expired", status="resolved", message=message, emitted_at=now,
        ended_at=max(alert.expires_at, alert.started_at), expires_at=None,
    )  # fmt: skip


def _resolved(asked: AlertRequest, known: AlertEvent | None, now: datetime) -> AlertEvent:
    if known is None:
        named = "fingerprint" if asked.fingerprint is not None else "dedupe_key"
        raise ExternalError(
            f"{named}: no alert of this name has been sent (its model and model_version, if any, are part of its name)",
            404,
        )
    if known.rule != EXTERNAL:
        raise ExternalError(f"fingerprint: is of the rule {known.rule}, whose alerts end by themselves")
    if known.status == "resolved":
        return known
    more = {"metadata": dict(asked.metadata)} if asked.metadata else {}
    return replace(
        known,
        alert_id=f"{known.alert_id}-over",
        status="resolved",
        title=known.title if asked.title is None else asked.title.strip(),
        message=asked.message or known.message,
        ended_at=max(now, known.started_at),
        emitted_at=now,
        evidence=known.evidence | more,
        expires_at=None,
    )


def _content(alert: AlertEvent) -> tuple[object, ...]:
    return alert.level, alert.title, alert.message, alert.evidence, alert.owner, alert.links


def _lines(asked: AlertRequest, labels: Mapping[str, str]) -> Iterator[str]:
    yield from filter(None, map(str.strip, asked.message.splitlines()))
    shown = list(asked.metadata.items())[:SHOWN]
    yield from (f"{name}: {value if isinstance(value, str) else _plain(value)}" for name, value in shown)
    if len(asked.metadata) > SHOWN:
        yield f"and {len(asked.metadata) - SHOWN} more entries of metadata"
    if asked.owner:
        yield f"Owner: {asked.owner}."
    if asked.dedupe_key is not None:
        yield f"Silence it: {shlex.join(_silence(labels))}"


def _silence(labels: Mapping[str, str]) -> Iterator[str]:
    yield from ("driftline", "alerts", "silence", "--rule", EXTERNAL)
    for option, name in (("--model", "model"), ("--version", "model_version"), ("--subject", "subject")):
        if name in labels:
            yield from (option, labels[name])
    yield from ("--for", "2h", "--comment", "looked at")


def _plain(value: Scalar) -> str:
    return msgspec.json.encode(value).decode()


def _hash(parts: object) -> str:
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()
