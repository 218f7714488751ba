"""`driftline alerts rules`: the rules in force and the source of each value."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
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
    from app.core.config.rule_layers import Stated
    from app.registration.models_table import RegisteredModel
    from app.settings.settings import Settings

OfModel = Annotated[str | None, typer.Option("--model", help="Those of this model. [default: of every other one]")]
OfVersion = Annotated[str | None, typer.Option("--version", help="Of this version. [default: of each]")]


def rules(
    model: OfModel = None,
    version: OfVersion = None,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Show the rules in force, and where each value comes from.

    Sources in order of priority: monitoring.json, [models.MODEL.rules.RULE] of driftline.toml, [rules.RULE] of
    driftline.toml, the default. Without --model the command needs no Kafka.

    \b
    Examples:
      driftline alerts rules
      driftline alerts rules --model churn --version 3
      driftline alerts rules --model churn --json
    """
    from app.core.config.rule_layers import in_force
    from app.registration.effective_monitoring import layers_of

    settings = settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix)
    if model is None:
        if version is not None:
            raise CommandError("--version: of which model? --model NAME")
        _show({}, in_force(settings.rule_layers()), as_json=json_)
        return
    for found in asyncio.run(_versions(connected(settings), model, version)):
        named = {"model": model, "model_version": found.profile.model_version}
        if not json_:
            print(f"{model} {found.profile.model_version}")
        _show(named, in_force(layers_of(settings, model, found.rules)), as_json=json_)


async def _versions(settings: Settings, model: str, version: str | None) -> list[RegisteredModel]:
    from app.commands.topic_reader import registry, unregistered

    models = await registry(settings)
    found = [one for one in models.all() if one.key[0] == model and version in (None, one.key[1])]
    if not found:
        raise unregistered(models, model, version)
    return found


def _show(named: dict[str, str], found: Mapping[str, Mapping[str, Stated]], *, as_json: bool) -> None:
    if as_json:
        for rule, settings in found.items():
            told = {name: {"value": one.value, "from": one.source} for name, one in settings.items()}
            print_json({**named, "rule": rule, **told})
        return
    names = tuple(next(iter(found.values())))
    rows = [(rule, *(_text(s[name].value) for name in names), _sources(s)) for rule, s in found.items()]
    print_table(("rule", *names, "not by default"), rows)


def _text(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _sources(settings: Mapping[str, Stated]) -> str:
    from app.core.config.rule_layers import DEFAULT

    by_source: dict[str, list[str]] = {}
    for name, one in settings.items():
        if one.source != DEFAULT:
            by_source.setdefault(one.source, []).append(name)
    return "; ".join(f"{', '.join(names)}: {source}" for source, names in by_source.items())
