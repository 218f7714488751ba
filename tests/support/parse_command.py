"""Command lines as documents and containers have them, held against the command line's own declaration."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from typer.main import get_command

from app.cli import app


@cache
def root() -> Any:
    """Return the command line's declaration. It is made once: that takes a tenth of a second."""
    return get_command(app)


def parse(arguments: Sequence[str]) -> None:
    """Parse without running. Raises what click raises for options, KeyError for a command that there is not."""
    command = root()
    rest = list(arguments)
    while children := getattr(command, "commands", None):
        if command.invoke_without_command and rest[:1] != [] and rest[0].startswith("-"):
            break  # a group that does something itself
        command = children[rest.pop(0)]
    command.make_context(command.name, rest)
