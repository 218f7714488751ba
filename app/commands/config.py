"""`driftline config show`: the complete configuration of a model, in the form that `register --config` takes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import AsJson, existing, print_json

app = typer.Typer(no_args_is_help=True)

ModelMetadata = Annotated[
    Path | None, typer.Option(help="training_metadata.json: its training_metrics are the baseline.")
]
FeatureMetadata = Annotated[
    Path | None, typer.Option(help="feature_metadata.json: its feature_stats tell numbers from categories.")
]
Wanted = Annotated[Path | None, typer.Option("--config", help="JSON of what is to be otherwise; a part will do.")]


@app.callback()
def config() -> None:
    """Show how a model is monitored.

    \b
    Examples:
      driftline config show
    """


@app.command("show")
def show(
    model_metadata: ModelMetadata = None,
    feature_metadata: FeatureMetadata = None,
    config: Wanted = None,
    json_: AsJson = False,
) -> None:
    """Show the complete configuration: values derived from the metadata, values of --config, and the defaults.

    Save the output, change it, and give it to `driftline register --config`. An error names the wrong key.

    \b
    Examples:
      driftline config show
      driftline config show --feature-metadata models/churn/feature_metadata.json
      driftline config show --model-metadata models/churn/training_metadata.json --config wanted.json --json
    """
    import msgspec

    from app.registration.setup import read_metadata, setup_monitoring

    given = [
        None if path is None else read_metadata(existing(path)) for path in (model_metadata, feature_metadata, config)
    ]
    found = setup_monitoring(*given).model_dump()
    if json_:
        print_json(found)
    else:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
