"""`driftline sources`: list the topics of other systems that are read, and try their mappings."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.options import (
    AsJson,
    Bootstrap,
    CommandError,
    Prefix,
    connected,
    print_json,
    print_table,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.commands.tried_sources import TriedSource
    from app.settings.settings import Settings
    from app.sources.source import MappedRecord

app = typer.Typer(no_args_is_help=True)

Which = Annotated[list[str] | None, typer.Argument(help="Names of sources. [default: all]")]
Last = Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many records of each topic.")]

NONE_DECLARED = "no sources are declared: write a [[sources]] table into driftline.toml (docs/how-to/own-topic.md)"


@app.callback()
def group() -> None:
    """Topics of your own shape, which workers map to predictions and feedback.

    Each is a table [[sources]] in driftline.toml: the topic, the format of its records, what they carry, and where in
    a record each field is, in JMESPath. `try` shows what the newest records become, before any worker reads them.

    \b
    Examples:
      driftline sources try
      driftline sources list --json
    """


@app.command("list")
def list_(json_: AsJson = False) -> None:
    """List the sources that driftline.toml declares. Kafka is not asked.

    \b
    Examples:
      driftline sources list
      driftline sources list --json
    """
    settings = settings_of()
    if not settings.sources and not json_:
        print(NONE_DECLARED)
        return
    if json_:
        for one in settings.sources or ():
            print_json({**one.model_dump(mode="json", exclude_none=True), "name": one.label})
        return
    rows = [(one.label, one.topic, one.format, one.carries) for one in settings.sources or ()]
    print_table(("source", "topic", "format", "carries"), rows)


@app.command("try")
def try_(
    sources: Which = None,
    last: Last = 10,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Read the newest records of sources, and show what each becomes; nothing is written.

    A record that does not map is shown with the field that is wrong, and what the record has in its place. Names of
    models that are not registered, and of features that the registered version does not have, are shown too.
    Exit status 1: a record does not map, or there was none.

    \b
    Examples:
      driftline sources try
      driftline sources try scored --last 100
      driftline sources try --json | jq -r 'select(.rejected) | .rejected'
    """
    settings = connected(settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix))
    tried = asyncio.run(_tried(settings, sources or [], last))
    for one in tried:
        if json_:
            for mapped in one.mapped:
                print_json(_json_of(one, mapped))
        else:
            print_tried(one)
    if any(one.rejected or not one.mapped for one in tried):
        raise typer.Exit(1)


async def _tried(settings: Settings, names: Sequence[str], last: int) -> list[TriedSource]:
    from app.commands.tried_sources import try_source
    from app.sources.source import registry_of, sources_of

    if not settings.sources:
        raise CommandError(NONE_DECLARED)
    registry = registry_of(settings)
    try:
        found = {one.declaration.label: one for one in sources_of(settings, registry)}
        for name in names:
            if name not in found:
                raise CommandError(f"there is no source {name!r}; there are {', '.join(found)}")
        return [await try_source(settings, found[name], last) for name in names or found]
    finally:
        if registry is not None:
            await registry.close()


def _json_of(tried: TriedSource, mapped: MappedRecord) -> dict[str, Any]:
    record: Any = mapped.record
    return {
        "source": tried.source.declaration.label,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "events": [{"kind": _kind(event), **_plain(event)} for event in mapped.events],
        "rejected": mapped.rejected or None,
        "hint": tried.hints.get((record.partition, record.offset)),
        "left_out": mapped.left_out or None,
    }


def _kind(event: Any) -> str:
    return "prediction" if hasattr(event, "features") else "feedback"


def _plain(event: Any) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(event)
    return found


def print_tried(tried: TriedSource) -> None:
    """Print the outcome of each record, the number of records by outcome, and the notes."""
    declared = tried.source.declaration
    print(f"source {declared.label}: topic {declared.topic}, {declared.format}, carries {declared.carries}")
    counts: Counter[str] = Counter()
    for mapped in tried.mapped:
        record: Any = mapped.record
        where = f"  {record.partition}/{record.offset}"
        for event in mapped.events:
            print(f"{where}  {_line(event)}")
            counts[_kind(event)] += 1
        if mapped.rejected:
            print(f"{where}  does not map: {mapped.rejected}")
            counts["rejected"] += 1
            hint = tried.hints.get((record.partition, record.offset))
            if hint:
                print(f"{' ' * len(where)}  {hint}")
        if mapped.left_out:
            print(f"{where}  left out: {mapped.left_out}")
            counts["left out"] += 1
    if not tried.mapped:
        print("  the topic has no records: nothing was tried")
        return
    print(
        f"  {len(tried.mapped)} records: {counts['prediction']} predictions, {counts['feedback']} feedback, "
        f"{counts['rejected']} do not map, {counts['left out']} left out"
    )
    for note in tried.notes:
        print(f"  note: {note}")


def _shown(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()


def _line(event: Any) -> str:
    from topics.events import from_epoch

    if _kind(event) == "feedback":
        of_model = "" if event.model is None else f" of {event.model}"
        return f"feedback {event.prediction_id}{of_model}: truth {_shown(event.actual)}"
    features = ", ".join(f"{name}={_shown(value)}" for name, value in event.features.items())
    predicted = "" if event.prediction is None else f", prediction {_shown(event.prediction)}"
    given = "" if event.probability is None else f", probability {_shown(event.probability)}"
    at = f"{from_epoch(event.timestamp):%Y-%m-%dT%H:%M:%S.%fZ}"
    of_version = f"of {event.model} {event.model_version} at {at}"
    return f"prediction {event.prediction_id} {of_version}{predicted}{given}: {features}"
