"""Commands of `driftline history`: one for each kind, with an option for each of its filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from functools import partial
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.options import (
    AsJson,
    CommandError,
    HistoryUrl,
    StateDir,
    moment_of,
    print_json,
    print_table,
    settings_of,
)
from app.history.columns import cells
from app.history.kinds import HistoryKind
from app.history.wanted import Option

EVERY_COMMAND = {"json_": (AsJson, False), "state_dir": (StateDir, None), "history_url": (HistoryUrl, None)}
"""Options of every kind, with their defaults."""


def command_of(kind: HistoryKind) -> Callable[..., None]:
    """Return the Typer command of a kind of history."""

    def command(json_: bool, state_dir: Path | None, history_url: str | None, **given: Any) -> None:
        show(kind, given, as_json=json_, state_dir=state_dir, history_url=history_url)

    examples = (f"  driftline history {kind.name} {one}".rstrip() for one in kind.examples)
    command.__doc__ = "\n\n".join(filter(None, [kind.help, kind.more, "\n".join(["\b", "Examples:", *examples])]))
    command.__dict__["__signature__"] = Signature(list(_parameters(kind)))
    return command


def show(
    kind: HistoryKind, given: dict[str, Any], *, as_json: bool, state_dir: Path | None, history_url: str | None
) -> None:
    """Query the history, and print one object a line, or a table. Raises CommandError, SettingsError, HistoryError."""
    from app.history.setup import history_of

    wanted = _wanted(kind, given, as_json=as_json)
    settings = settings_of(state_dir=state_dir, history_url=history_url)
    with closing(history_of(settings)) as history, history.reading() as connection:
        found = kind.query(connection, wanted)
    if as_json:
        for one in found:
            print_json(one)
    elif found:
        print_table(kind.columns, map(partial(cells, kind.columns), found))
    else:
        print(kind.nothing)


def _options(kind: HistoryKind) -> list[Option]:
    """Return the filters of a kind in the order of its help: common filters, the kind's own, the limit."""
    options = [one for one in kind.options() if kind.of_models or one.name not in ("model", "model_version")]
    return sorted(options, key=lambda one: one.name == "limit")


def _parameters(kind: HistoryKind) -> Iterator[Parameter]:
    for one in _options(kind):
        words = f"{one.words.help[:1].upper()}{one.words.help[1:]}."
        if one.words.with_json:
            words = f"With --json: {one.words.help}."
        bounds = {"min": 1, "max": 1_000_000} if one.name == "limit" else {}
        given: Any = str if one.type is datetime else one.type
        given = given | None if one.default is None else given
        flag = Annotated[given, typer.Option(*one.words.flags, help=words, **bounds)]
        yield Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=flag)
    for name, (flag, default) in EVERY_COMMAND.items():
        yield Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=flag)


def _wanted(kind: HistoryKind, given: dict[str, Any], *, as_json: bool) -> Any:
    """Return the filter for the rows. Raises CommandError."""
    filters = dict(given)
    for one in _options(kind):
        if one.type is datetime:
            filters[one.name] = moment_of(f"--{one.name}", given[one.name])
        elif one.words.with_json and not as_json:
            filters[one.name] = one.default
    try:
        return kind.filters(**filters)
    except ValueError as error:
        raise CommandError(str(error)) from None
