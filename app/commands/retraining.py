"""`driftline retraining`: model versions that should be retrained, with reasons."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from app.commands.options import AsJson, Bootstrap, Follow, OnlyModel, OnlyVersion, Prefix, kafka_settings, print_json

if TYPE_CHECKING:
    from app.settings.settings import Settings

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Show which model versions should be retrained.

    \b
    Examples:
      driftline retraining list
    """


@app.command("list")
def list_(
    model: OnlyModel = None,
    version: OnlyVersion = None,
    follow: Follow = False,
    json_: AsJson = False,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """List the signals to retrain, oldest first, with time, model version and reason.

    A signal is sent when an alert of drift or performance fires, or `driftline check` finds drift or degradation. At
    most one is sent for each model version in `retraining_debounce_seconds`.

    \b
    Examples:
      driftline retraining list
      driftline retraining list --model churn --follow --json
    """
    settings = kafka_settings(bootstrap_servers, prefix)
    asyncio.run(_show(settings, model, version, follow=follow, as_json=json_))


async def _show(settings: Settings, model: str | None, version: str | None, *, follow: bool, as_json: bool) -> None:
    import msgspec

    from app.commands.topic_reader import events
    from topics.events import RetrainingEvent
    from topics.registry import RETRAINING

    decoder = msgspec.json.Decoder(RetrainingEvent)
    shown = 0
    async for found in events(settings, RETRAINING, decoder.decode, follow=follow):
        if found is None:
            if not shown and not as_json:
                print("no signals", flush=True)
            continue
        signal = found[1]
        if signal is None or model not in (None, signal.model) or version not in (None, signal.model_version):
            continue
        shown += 1
        if as_json:
            print_json(signal)
        else:
            named = f"{signal.model} {signal.model_version}"
            words = f"{signal.reason} ({signal.source}): {signal.message}"
            print(f"{signal.requested_at:%Y-%m-%d %H:%M:%S}  {named}  {words}", flush=True)
