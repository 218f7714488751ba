"""`driftline contract`: the Kafka events and the HTTP API as documents."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import AsJson, print_json

app = typer.Typer(
    help="""Print what travels through Kafka (AsyncAPI, JSON Schemas) and what HTTP takes (OpenAPI).

    \b
    Examples:
      driftline contract asyncapi
      driftline contract schema PredictionEvent
    """,
    no_args_is_help=True,
)

Event = Annotated[str, typer.Argument(help="PredictionEvent, say; an unknown name lists all.")]
Docs = Annotated[Path, typer.Argument(help="The folder of the documents.")]


@app.command()
def asyncapi(json_: AsJson = False) -> None:
    """Print every topic and event as AsyncAPI 3, in YAML.

    \b
    Examples:
      driftline contract asyncapi
      driftline contract asyncapi --json
    """
    from app.contract.asyncapi import asyncapi as document
    from app.contract.asyncapi import asyncapi_yaml

    if json_:
        print_json(document())
    else:
        sys.stdout.write(asyncapi_yaml())


@app.command()
def openapi(json_: AsJson = False) -> None:
    """Print the HTTP API as OpenAPI 3.1, in JSON. A running API returns the document at /openapi.json.

    \b
    Examples:
      driftline contract openapi
    """
    import msgspec

    from api.export import openapi_json

    document = openapi_json()
    if json_:
        print_json(msgspec.json.decode(document))
    else:
        sys.stdout.write(document)


@app.command()
def schema(event: Event, json_: AsJson = False) -> None:
    """Print one event's JSON Schema.

    \b
    Examples:
      driftline contract schema PredictionEvent
    """
    import msgspec

    from app.contract.schemas import schema_of

    found = schema_of(event)
    if json_:
        print_json(found)
    else:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())


@app.command()
def write(docs: Docs = Path("docs"), json_: AsJson = False) -> None:
    """Write all these documents into a folder, as `make contract` does.

    Fails where a type has changed without a new wire version, and says what to do.

    \b
    Examples:
      driftline contract write docs
    """
    from api.export import openapi_json
    from app.contract.asyncapi import asyncapi_yaml
    from app.contract.wire import record

    written = [docs / "openapi.json", docs / "asyncapi.yaml"]
    written[0].write_text(openapi_json())
    written[1].write_text(asyncapi_yaml())
    written.append(record(docs))
    if json_:
        print_json({"written": [str(path) for path in written]})
    else:
        print(*written, sep="\n")
