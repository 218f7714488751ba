"""`driftline copy`: what people have told Driftline, from one prefix to another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.common import AsJson, Bootstrap, Prefix, Trouble, connected, print_json, print_table, settings_of

if TYPE_CHECKING:
    from app.runtime.settings import Settings
    from topics.registry import Topic


def copy(
    from_prefix: Annotated[str, typer.Option(help="Prefix of the topics that are read.")],
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
    partitions: Annotated[int | None, typer.Option(help="Partitions of new topics. [default: 4]")] = None,
    json_: AsJson = False,
) -> None:
    """Copy registrations, silences and receivers to another prefix.

    Makes the topics of --prefix where they are missing. What is there under the same key is replaced; copied again,
    nothing changes. Predictions, truths, reports and alerts stay where they are.

    \b
    Examples:
      driftline copy --from-prefix driftline. --prefix driftline-2. --partitions 16
    """
    settings = connected(settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix, partitions=partitions))
    if settings.prefix == from_prefix:
        raise Trouble(f"--prefix: is {from_prefix!r}, as is --from-prefix; name the prefix to copy to")
    counts = asyncio.run(_copy(settings, from_prefix))
    if json_:
        print_json({"from": from_prefix, "to": settings.prefix, "records": counts})
        return
    print(f"copied from {from_prefix} to {settings.prefix}")
    print_table(("topic", "records"), [(name, f"{count:,}") for name, count in counts.items()])


async def _copy(settings: Settings, from_prefix: str) -> dict[str, int]:
    from app.runtime.producer import Producer
    from app.runtime.topic_admin import ensure_topics
    from topics.registry import MODELS, RECEIVERS, SILENCES

    source = settings.model_copy(update={"prefix": from_prefix})
    newest = {topic: await _newest(source, topic) for topic in (MODELS, RECEIVERS, SILENCES)}
    await ensure_topics(settings)
    async with Producer(settings) as producer:
        for topic, values in newest.items():
            for key, value in values.items():  # one at a time: a registration may have megabytes
                await producer.send(topic, key, value)
    return {topic.name: len(values) for topic, values in newest.items()}


async def _newest(source: Settings, topic: Topic) -> dict[bytes, bytes]:
    """The newest value of each key that is not removed, in the order of the log."""
    from app.commands.reading import records

    newest: dict[bytes, bytes] = {}
    async for record in records(source, topic.full_name(source.prefix)):
        if record is None:
            break
        key = record.key or b""
        newest.pop(key, None)
        if record.value is not None:
            newest[key] = record.value
    return newest
