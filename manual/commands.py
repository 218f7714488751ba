"""docs/reference/commands.md: the `--help` of every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from app.cli import app

HEAD = """# Commands

What each says to `--help`. Exit status 0: done. 2: it could not do its work, and one line says why. 130: Ctrl-C.
Others are named where they belong.
"""
WIDTH = 100


def page() -> str:
    """Return the page."""
    return HEAD + "".join(f"\n## `{name}`\n\n```text\n{words}\n```\n" for name, words in _commands())


def _commands() -> Iterator[tuple[str, str]]:
    """Yield every command as it is typed, and its help."""
    waiting: list[tuple[str, Any, Any]] = [("driftline", get_command(app), None)]
    while waiting:
        name, command, parent = waiting.pop(0)
        context = command.context_class(
            command, info_name=name.rpartition(" ")[2], parent=parent, terminal_width=WIDTH, max_content_width=WIDTH
        )
        yield name, "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        children = getattr(command, "commands", {})
        waiting[:0] = [(f"{name} {child}", children[child], context) for child in children]
