"""What every `driftline history` command takes, and how it asks and prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.options import CommandError, moment_of, print_json, print_table, settings_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

OnlyModel = Annotated[str | None, typer.Option("--model", help="Only this model.")]
OnlyVersion = Annotated[str | None, typer.Option("--version", help="Only this version of it.")]
Since = Annotated[str | None, typer.Option("--since", help="From this time on, 2026-06-01T12:00:00Z say.")]
Until = Annotated[str | None, typer.Option("--until", help="Before this time.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000_000, help="The newest so many.")]


def wanted_of(
    model: str | None, version: str | None, since: str | None, until: str | None, limit: int,
    which: Callable[..., Any] | None = None, **more: Any,
) -> Any:  # fmt: skip
    """Which rows are asked for. Raises Trouble."""
    from app.history.wanted import HistoryFilter

    try:
        return (which or HistoryFilter)(
            model=model, model_version=version, since=moment_of("--since", since), until=moment_of("--until", until),
            limit=limit, **more,
        )  # fmt: skip
    except ValueError as error:
        raise CommandError(f"{error}") from None


def asked(state_dir: Path | None, history_url: str | None, ask: Callable[[Connection], list[Any]]) -> list[Any]:
    """What the history answers to the question. Raises SettingsError, HistoryError."""
    from app.history.setup import history_of

    settings = settings_of(state_dir=state_dir, history_url=history_url)
    with closing(history_of(settings)) as history, history.reading() as connection:
        return ask(connection)


def print_found(
    found: list[Any], as_json: bool, none: str, header: Iterable[str], row: Callable[[Any], tuple[str, ...]]
) -> None:
    """Print what was found: an object a line, or a table."""
    if as_json:
        for one in found:
            print_json(one)
    elif found:
        print_table(header, map(row, found))
    else:
        print(none)
