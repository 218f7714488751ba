"""`driftline history export`: write predictions with their truth to files."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import AsJson, CommandError, HistoryUrl, StateDir, print_json, settings_of


class Format(StrEnum):
    """Kinds of export file."""

    jsonl = "jsonl"
    parquet = "parquet"


def export(
    output: Annotated[Path | None, typer.Option(help="The folder. [default: export_dir of the settings]")] = None,
    formats: Annotated[
        list[Format] | None, typer.Option("--format", help="jsonl or parquet; may be given twice. [default: jsonl]")
    ] = None,
    json_: AsJson = False,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
) -> None:
    """Write predictions with their truth as files, one for each day (UTC) and model version.

    Only days that have changed since the last export are written. Each file is written whole.

    \b
    Examples:
      driftline history export --output exports
      driftline history export --output exports --format parquet --json
    """
    from app.history.exporting import export as write
    from app.history.setup import history_of

    settings = settings_of(state_dir=state_dir, history_url=history_url, export_dir=output)
    if settings.export_dir is None:
        raise CommandError("where to? --output DIR, or DRIFTLINE_EXPORT_DIR")
    wanted = [one.value for one in formats or []] or list(settings.export_formats or ("jsonl",))
    with closing(history_of(settings)) as history:
        written = write(history, settings.export_dir, wanted)
    for path in written:
        if json_:
            print_json({"file": str(path)})
        else:
            print(path)
    if not written and not json_:
        print("nothing has changed")
