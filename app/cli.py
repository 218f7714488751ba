"""`driftline` command line."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app.commands import (
    broker,
    config,
    contract,
    demo,
    forget,
    keys,
    plan,
    replay,
    report,
    reported,
    reports,
    retire,
    retraining,
    serve,
    sources,
    train,
)
from app.commands.alerts import commands as alerts
from app.commands.check import command as check
from app.commands.copy import command as copying
from app.commands.dead_letters import commands as dead_letters
from app.commands.history import commands as history
from app.commands.options import TROUBLE, CommandError
from app.commands.register import command as register
from app.commands.top import command as top
from app.telemetry.printable import Escaping

EPILOG = "Every setting is a flag, an environment variable DRIFTLINE_…, or a line in driftline.toml; flags win."

app = typer.Typer(
    name="driftline",
    help="Watch machine-learning models while they serve: drift, performance, alerts.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # its import doubles the time of --help
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from app.settings.release import release

        print(f"driftline {release()}")
        raise typer.Exit


for command in (
    serve.up,
    serve.worker,
    serve.recorder,
    serve.api,
    train.train,
    register.register,
    retire.retire,
    plan.plan,
    copying.copy,
    replay.replay,
    reports.reports,
    report.report,
    top.top,
    check.check,
    demo.demo,
    forget.forget,
):
    app.command()(command)
app.add_typer(broker.app, name="broker")
app.add_typer(alerts.app, name="alerts")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(history.app, name="history")
app.add_typer(config.app, name="config")
app.add_typer(sources.app, name="sources")
app.add_typer(retraining.app, name="retraining")
app.add_typer(contract.app, name="contract")
app.add_typer(keys.app, name="keys")
app.add_typer(reported.training_runs, name="training-runs")
app.add_typer(reported.deployments, name="deployments")


@app.callback()
def driftline(
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version, and no more.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Watch machine-learning models while they serve: drift, performance, alerts."""


def main() -> None:
    """Run the command line. Exit with 2 and one line where a command fails, with 130 on Ctrl-C."""
    if not isinstance(sys.stdout, Escaping):
        sys.stdout, sys.stderr = Escaping(sys.stdout), Escaping(sys.stderr)
    try:
        app()
    except CommandError as trouble:
        _fail(str(trouble), trouble.status)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - what is not expected is raised again
        _fail(expected(error), TROUBLE)


def expected(error: Exception) -> str:
    """Return the line for an error with a clear message. Raise any other error again, with its traceback."""
    home = type(error).__module__.partition(".")[0]
    if isinstance(error, OSError) or home in ("app", "api", "agents", "topics"):
        return str(error)
    if home == "aiokafka":
        return f"Kafka: {error}"
    raise error


def _fail(line: str, status: int) -> None:
    print(f"driftline: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
