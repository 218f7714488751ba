"""Command lines as documents and containers have them, held against the command line's own declaration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.main import get_command

from app.cli import app


def parse(arguments: Sequence[str]) -> None:
    """Parse without running. Raises what click raises for options, KeyError for a command that there is not."""
    command: Any = get_command(app)
    rest = list(arguments)
    while children := getattr(command, "commands", None):
        command = children[rest.pop(0)]
    command.make_context(command.name, rest)
