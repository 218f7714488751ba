"""`driftline alerts send`: send an external alert, or resolve it."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.alerts.silence import seconds_of
from app.commands.audited import AuditedChange, audited
from app.commands.options import (
    AsJson,
    Bootstrap,
    CommandError,
    Prefix,
    connected,
    metadata_of,
    print_json,
    settings_of,
)
from topics.levels import Level

if TYPE_CHECKING:
    from app.alerting.events.external import AlertRequest
    from app.settings.settings import Settings
    from topics.events import AlertEvent

Title = Annotated[str | None, typer.Option("--title", help="What has happened, in one line.")]
Message = Annotated[str, typer.Option("--message", help="More of it.")]
AlertLevel = Annotated[Level, typer.Option("--level", help="How bad it is.")]
Metadata = Annotated[list[str] | None, typer.Option("--metadata", help="NAME=VALUE, shown and sent along; repeatable.")]
Key = Annotated[
    str | None, typer.Option("--dedupe-key", help="Its name: sent again with the same it is the same alert.")
]
Fingerprint = Annotated[str | None, typer.Option("--fingerprint", help="With --resolved: its name as it was printed.")]
Resolved = Annotated[bool, typer.Option("--resolved", help="It is over.")]
ExpiresAfter = Annotated[str | None, typer.Option("--expires-after", help="Resolve it by itself after: 30m, 2h.")]
Owner = Annotated[str, typer.Option("--owner", help="Who is to look at it.")]
Runbook = Annotated[str, typer.Option("--runbook-url", help="Page that says what to do.")]
OfModel = Annotated[str | None, typer.Option("--model", help="The model that it is about.")]
OfVersion = Annotated[str | None, typer.Option("--version", help="Its version.")]


def send(
    title: Title = None,
    message: Message = "",
    level: AlertLevel = "warning",
    metadata: Metadata = None,
    dedupe_key: Key = None,
    fingerprint: Fingerprint = None,
    resolved: Resolved = False,
    expires_after: ExpiresAfter = None,
    model: OfModel = None,
    version: OfVersion = None,
    owner: Owner = "",
    runbook_url: Runbook = "",
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Send an alert of your own. The alert is grouped, routed, silenced, notified and recorded as every other alert.

    Its rule is `external`, its subject the --dedupe-key. With a key the alert fires until it is resolved, and sending
    it again changes nothing. Without a key each call makes a new alert, which is resolved by itself after an hour.

    \b
    Examples:
      driftline alerts send --title "nightly load failed" --level error --dedupe-key load --metadata table=orders
      driftline alerts send --dedupe-key load --resolved
      driftline alerts send --title "churn 4 is trained" --level info --model churn --version 4
    """
    from app.alerting.events.external import AlertRequest, ExternalError, check

    asked = AlertRequest(
        title=title, message=message, level=level, metadata=dict(metadata_of(metadata)),
        status="resolved" if resolved else "firing", dedupe_key=dedupe_key, fingerprint=fingerprint, model=model,
        model_version=version, owner=owner, runbook_url=runbook_url,
        expires_after=None if expires_after is None else seconds_of(expires_after),
    )  # fmt: skip
    settings = settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix)
    try:
        check(asked)
        alert, is_new = asyncio.run(_send(connected(settings), asked))
    except ExternalError as error:
        raise CommandError(str(error)) from None
    if json_:
        print_json(alert)
        return
    done = "resolved" if alert.status == "resolved" else "sent"
    print(f"{done if is_new else f'was {done} already'}: {alert.title} (fingerprint {alert.fingerprint})")


async def _send(settings: Settings, asked: AlertRequest) -> tuple[AlertEvent, bool]:
    """Send the transition, unless the alert is already in that state. Return the transition, and whether it is new.

    Raises ExternalError, CommandError.
    """
    import msgspec

    from app.alerting.events.external import fingerprint_wanted, newest, transition_of
    from app.commands.topic_reader import events
    from app.kafka.topics import partitions_of
    from topics.events import AlertEvent, utc_now
    from topics.partition import partition_of
    from topics.registry import ALERTS

    decoder, known, key = msgspec.json.Decoder(AlertEvent), list[AlertEvent](), uuid.uuid4().hex[:12]
    async for found in events(settings, ALERTS, decoder.decode):
        if found is not None and found[1] is not None:
            known.append(found[1])
    before = newest(known, fingerprint_wanted(asked, key))
    alert = transition_of(asked, before, utc_now(), key, settings.page)
    if alert is before:
        return alert, False
    partitions = await partitions_of(settings, ALERTS)
    version = alert.labels.get("model", ""), alert.labels.get("model_version", "")
    detail = {"title": alert.title, "level": alert.level, "subject": alert.labels["subject"]}
    change = AuditedChange("alert.sent" if alert.status == "firing" else "alert.resolved", alert.fingerprint, detail)
    async with audited(settings, change) as producer:
        record = alert.fingerprint.encode(), msgspec.json.encode(alert)
        await producer.send(ALERTS, *record, partition_of(*version, partitions))
    return alert, before is None or alert.alert_id != before.alert_id
