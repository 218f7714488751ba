"""Input and output of a registration, through Kafka or over HTTP."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from app.core.reference.profile import Profile
    from app.registration.monitoring import MonitoringFile
    from app.registration.result import RegisteredVersion
    from app.settings.settings import Settings
    from app.tables import FileOptions
    from topics.events import DriftReport


class RecordedRows(NamedTuple):
    """Selection of predictions in the history as a reference. `version` None: of the version to register."""

    version: str | None
    since: datetime | None
    until: datetime | None


class GivenFiles(NamedTuple):
    """Files of a registration as given, and the two small ones decoded."""

    reference: Path | RecordedRows
    config: Path | None
    baseline: Path | None
    options: FileOptions
    file: MonitoringFile
    metrics: Mapping[str, float]


class RegisteredReference(NamedTuple):
    """Registered version. `reports`: newest drift reports of the model; none where the reference has times."""

    result: RegisteredVersion
    profile: Profile
    reports: list[DriftReport]


def table_of(settings: Settings, model: str, version: str, given: GivenFiles) -> pd.DataFrame:
    """Return the rows of a reference, from its file or the history. Raises TableError, HistoryError."""
    from app.tables import read_table

    source = given.reference
    if isinstance(source, Path):
        return read_table(source, given.options)
    from app.history.reference_rows import reference_rows
    from app.history.setup import history_of

    with closing(history_of(settings)) as history:
        return reference_rows(history, model, source.version or version, source.since, source.until)


def is_one_file(source: Path | RecordedRows) -> TypeGuard[Path]:
    """Return whether a reference is one file, not a folder or rows of the history."""
    return isinstance(source, Path) and source.is_file()
