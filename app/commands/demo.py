"""`driftline demo`: the whole pipeline on real census records."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app.commands.options import Bootstrap, is_terminal, settings_of

Exit = Annotated[bool, typer.Option("--exit", help="End after the summary instead of keeping the page up.")]
Rate = Annotated[
    float | None, typer.Option(min=100, help="At most this many events a second. [default: 15000 on a terminal]")
]
WATCHABLE = 15_000.0
"""Default rate on a terminal, in events a second, so that the table can be followed."""
Port = Annotated[int | None, typer.Option("--port", help="Port of the API and the dashboard. [default: 8700]")]
FEWEST = "Use only this share of the people: at least half, since in fewer chance alone finds faults."
Share = Annotated[float, typer.Option(min=0.5, max=1.0, help=FEWEST)]


def demo(
    exit_: Exit = False,
    rate: Rate = None,
    share: Share = 1.0,
    port: Port = None,
    bootstrap_servers: Bootstrap = None,
) -> None:
    """Watch a model drift, fall, alert and recover.

    Runs a real model on real census records. Exit status 0 only if the fault was found, named and resolved, and no
    other alert fired.

    \b
    Examples:
      driftline demo
      driftline demo --exit
    """
    from app.settings.extras import needing

    with needing("models", "driftline demo"):
        from app.demo.run import run

    settings = settings_of(bootstrap_servers=bootstrap_servers, api_port=port)
    live = is_terminal()
    pace = WATCHABLE if rate is None and live else rate
    sys.exit(run(settings, keep=not exit_, rate=pace, share=share, live=live))
