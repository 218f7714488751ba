"""`driftline broker`: Kafka alone, found or started in the same way as by `driftline up`."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.options import AsJson, Bootstrap, StateDir, print_json, settings_of

app = typer.Typer(no_args_is_help=True)

BrokerPort = Annotated[
    int | None, typer.Option("--port", help="Port of a broker that is started. [default: a free one]")
]


@app.callback()
def group() -> None:
    """Start, stop or show the Kafka of this machine.

    \b
    Examples:
      driftline broker up
    """


@app.command()
def up(
    port: BrokerPort = None, json_: AsJson = False, bootstrap_servers: Bootstrap = None, state_dir: StateDir = None
) -> None:
    """Find a running Kafka, or start one that runs until `driftline broker down`.

    \b
    Examples:
      driftline broker up
      driftline broker up --port 9092
    """
    from app.local.kafka_control import broker_up

    kafka = broker_up(settings_of(bootstrap_servers=bootstrap_servers, state_dir=state_dir), port=port)
    if json_:
        print_json({"running": True, "how": kafka.how, "bootstrap_servers": kafka.bootstrap_servers})
    else:
        print(f"Kafka at {kafka.bootstrap_servers} ({kafka.how})")


@app.command()
def down(json_: AsJson = False, state_dir: StateDir = None) -> None:
    """Stop the Kafka that `driftline broker up` started. Its data is kept.

    \b
    Examples:
      driftline broker down
    """
    from app.local.kafka_control import broker_down

    stopped = broker_down(settings_of(state_dir=state_dir))
    if json_:
        print_json({"stopped": stopped})
    else:
        print("stopped" if stopped else "none was running")


@app.command()
def status(json_: AsJson = False, bootstrap_servers: Bootstrap = None, state_dir: StateDir = None) -> None:
    """Show which Kafka runs. Exit status 1: none runs.

    \b
    Examples:
      driftline broker status
      driftline broker status --json
    """
    from app.local.kafka_control import broker_status

    found = broker_status(settings_of(bootstrap_servers=bootstrap_servers, state_dir=state_dir))
    if json_:
        print_json(found)
    elif found.running:
        print(f"Kafka at {found.bootstrap_servers} ({found.how})")
    else:
        print("no Kafka runs")
    raise typer.Exit(0 if found.running else 1)
