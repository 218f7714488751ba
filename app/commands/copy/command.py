"""`driftline copy`: copy registrations, silences, receivers and state from one prefix to another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

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
    from app.settings.settings import Settings
    from topics.registry import Topic


def copy(
    from_prefix: Annotated[str, typer.Option(help="Prefix of the topics that are read.")],
    from_group: Annotated[str, typer.Option(help="Consumer group of its workers, which are stopped.")] = "driftline",
    without_state: Annotated[
        bool, typer.Option("--without-state", help="Leave out alerts, notifications and panes.")
    ] = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
    group: Annotated[str | None, typer.Option(help="Consumer group of the new workers. [default: driftline]")] = None,
    partitions: Annotated[int | None, typer.Option(help="Partitions of new topics. [default: 4]")] = None,
    json_: AsJson = False,
) -> None:
    """Copy registrations and state to another prefix, where a new group of workers continues.

    Copies registrations, retired versions, silences and receivers. From the old workers, which must be stopped, it
    copies alerts, notifications, signals to retrain, and the panes of each model. Topics of --prefix are created where
    they are missing. Copying again changes nothing. Predictions, truths and reports are not copied.

    \b
    Examples:
      driftline copy --from-prefix driftline. --prefix driftline-16. --group driftline-16 --partitions 16
    """
    settings = connected(
        settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix, group=group, partitions=partitions)
    )
    if settings.prefix == from_prefix:
        raise CommandError(f"--prefix: is {from_prefix!r}, as is --from-prefix; name the prefix to copy to")
    if settings.group == from_group and not without_state:
        raise CommandError(f"--group: is {from_group!r}, as is --from-group; the new workers need a group of their own")
    source = settings.model_copy(update={"prefix": from_prefix, "group": from_group})
    counts = asyncio.run(_copy(source, settings, with_state=not without_state))
    if json_:
        print_json({"from": from_prefix, "to": settings.prefix, "records": counts})
        return
    print(f"copied from {from_prefix} to {settings.prefix}")
    print_table(("topic", "records"), [(name, f"{count:,}") for name, count in counts.items()])


async def _copy(source: Settings, settings: Settings, *, with_state: bool) -> dict[str, int]:
    from app.commands.copy.carry_over import Carrying
    from app.kafka.producer import Producer
    from app.kafka.topics import ensure_topics
    from topics.registry import MODELS, RECEIVERS, SILENCES, VERSIONS

    carrying = Carrying(source, settings)
    of_old = await carrying.check() if with_state else 0
    newest = {topic: await _newest(source, topic) for topic in (MODELS, RECEIVERS, SILENCES, VERSIONS)}
    await ensure_topics(settings)
    async with Producer(settings) as producer:
        for topic, values in newest.items():
            for key, value in values.items():  # one at a time: a registration may have megabytes
                await producer.send(topic, key, value)
    counts = {topic.name: len(values) for topic, values in newest.items()}
    return {**counts, **(await carrying.copy(of_old) if with_state else {})}


async def _newest(source: Settings, topic: Topic) -> dict[bytes, bytes]:
    """Return the newest value of each key that is not removed, in the order of the log."""
    from app.commands.topic_reader import records

    newest: dict[bytes, bytes] = {}
    async for record in records(source, topic.full_name(source.prefix)):
        if record is None:
            break
        key = record.key or b""
        newest.pop(key, None)
        if record.value is not None:
            newest[key] = record.value
    return newest
