"""`driftline history`: trainings, deployments, predictions, reports and alerts from the history's database."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from app.commands.history.export import export


class HistoryGroup(TyperGroup):
    """Typer group with a command for each kind of history, made on first use.

    The table of kinds imports the database's library, and `driftline --help` must stay fast.
    """

    @cached_property
    def _kinds(self) -> Mapping[str, Any]:
        from app.commands.history.options import command_of
        from app.history.kinds import HISTORY_KINDS

        made = typer.Typer(rich_markup_mode=None)
        for kind in HISTORY_KINDS:
            made.command(kind.name)(command_of(kind))
        return get_command(made).commands  # type: ignore[attr-defined, no-any-return]

    @property
    def commands(self) -> Any:
        """Return every command by name."""
        return {**self._kinds, **self._own}

    @commands.setter
    def commands(self, own: Mapping[str, Any]) -> None:
        self._own = own


app = typer.Typer(no_args_is_help=True, cls=HistoryGroup)
app.command()(export)


@app.callback()
def group() -> None:
    """Show trainings, deployments, predictions, reports and alerts that `driftline recorder` has written.

    \b
    Examples:
      driftline history predictions --model churn --version 3 --limit 10
      driftline history performance
      driftline history drift --model churn --detected
      driftline history alerts --model churn --level critical
    """
