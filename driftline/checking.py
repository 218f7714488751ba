"""`driftline.check`: two tables judged here, by the server's packages where they are installed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

HOME = "app.offline.frames"
"""Module of the check. Looked up by name: a producer has the client alone."""


class CheckResult(Protocol):
    """Result of a check. A notebook shows it as a page."""

    @property
    def verdict(self) -> str:
        """Return the decision in words: drift, findings, no drift or no decision."""

    @property
    def drifted(self) -> bool | None:
        """Return whether there is drift or degraded performance; None where nothing could be decided."""

    @property
    def findings(self) -> tuple[Any, ...]:
        """Return the findings that the enabled rules would fire for."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the reasons why the tables, or most of them, were not judged."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes on how the reference was read."""

    def to_dict(self) -> dict[str, Any]:
        """Return all of the check, as `driftline check --json` prints it."""

    def report(self, path: str | Path) -> Path:
        """Write the check as a page that needs nothing else. Return its path."""

    def figure(self) -> Any:
        """Return the distributions of the drifted columns, as a figure of matplotlib."""


def check(reference: object, current: object, config: Mapping[str, Any] | str | Path | None = None) -> CheckResult:
    """Judge one table against another, as `driftline check` judges files; Kafka is not needed.

    Tables are of pandas, polars or Arrow, anything with `__dataframe__`, or paths of files. `config`: monitoring.json
    as a dictionary, or its path. Raises ImportError where only the client is installed; ValueError naming the table,
    column or key that is wrong.
    """
    try:
        home = import_module(HOME)
    except ModuleNotFoundError as error:
        raise ImportError(_advice(error), name=error.name) from error
    found: CheckResult = home.check_frames(reference, current, config)
    return found


def _advice(error: ModuleNotFoundError) -> str:
    name = error.name or ""
    other = sys.modules.get("app")
    if name.startswith("app.") and other is not None:
        where = getattr(other, "__file__", None) or ", ".join(getattr(other, "__path__", ()))
        return f"driftline.check: a package `app` of yours ({where}) stands before that of Driftline: start elsewhere"
    return f"driftline.check needs {name}: install driftline-server, not the client alone"
