"""`driftline config show`: monitoring.json with every key, in the form that `register --config` takes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.commands.options import AsJson, existing, print_json

app = typer.Typer(no_args_is_help=True)

ModelMetadata = Annotated[
    Path | None, typer.Option(help="training_metadata.json: its training_metrics are the baseline.")
]
FeatureMetadata = Annotated[
    Path | None,
    typer.Option(
        help="feature_metadata.json: its feature_stats say which columns are numbers and which are categories."
    ),
]
Wanted = Annotated[Path | None, typer.Option("--config", help="JSON of what is to be otherwise; a part will do.")]
Form = Annotated[
    Literal["monitoring", "setup"] | None,
    typer.Option(
        help="monitoring: the keys of monitoring.json; setup: performance_monitoring, data_drift_monitoring, … "
        "register takes both. [default: setup with metadata, else the form of --config, else monitoring]"
    ),
]


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
    form: Form = None,
    json_: AsJson = False,
) -> None:
    """Show monitoring.json with every key: values of --config, values derived from the metadata, and the defaults.

    Save the output, change it, and give it to `driftline register --config`. An error names the wrong key. A rule in
    the file wins over the same rule in driftline.toml. Every key is explained in docs/reference/monitoring.md.

    \b
    Examples:
      driftline config show
      driftline config show --config monitoring.json
      driftline config show --feature-metadata models/churn/feature_metadata.json
      driftline config show --model-metadata models/churn/training_metadata.json --config wanted.json --json
    """
    import msgspec

    from app.registration.complete import complete
    from app.registration.setup import file_of, is_setup, read_metadata, read_monitoring, setup_monitoring

    paths = (model_metadata, feature_metadata, config)
    about_model, about_features, wanted = [None if path is None else read_metadata(existing(path)) for path in paths]
    of_metadata = about_model is not None or about_features is not None
    found: object
    if of_metadata or is_setup(wanted) or form == "setup":
        setup = setup_monitoring(about_model, about_features, wanted)
        found = complete(file_of(setup)) if form == "monitoring" else setup.model_dump()
    else:
        found = complete(read_monitoring(config))
    if json_:
        print_json(found)
    else:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
